"""What an inversion is fed: tempered outputs of server and client, and their optimum for a target (Eq. 2, 4 to 6)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from logitleak.types import ServerView

Q = Literal["full", "client", "client+server", "client+entropy", "server"]
"""Which terms of Q = p^k_j + p⁰_j + α·H(p⁰) (Eq. 4) are maximized.

full: all of it (the paper's PLI). client: p^k only, the client's outputs alone are the input (Table 3, first row).
client+server: p^k + p⁰. client+entropy: p^k + α·H(p⁰). server: p⁰ + α·H(p⁰), the server's outputs alone.
"""


def tempered(logits: Tensor, tau: float) -> Tensor:
    """softmax(l, τ) = softmax(l / τ) over the last axis."""
    return torch.softmax(logits / tau, -1)


def uses_client(q: Q) -> bool:
    """Whether the client's outputs are part of the input."""
    return q != "server"


def uses_server(q: Q) -> bool:
    """Whether the server's outputs are part of the input."""
    return q != "client"


def needed(q: Q) -> frozenset[str]:
    """What a view must provide for this Q."""
    parts = {"logits"} if uses_client(q) else set()
    return frozenset(parts | ({"server_logits"} if uses_server(q) else set()))


def assumed(q: Q) -> tuple[str, ...]:
    """What an attack with this Q on D_0 supposes the server to know, in sentences."""
    own = ("The server trains a model of its own on the public set (it is honest but curious).",)
    return (
        *(own if uses_server(q) else ()),
        "The server knows which labels are private targets, and which public images are of the sensitive domain.",
    )


def input_width(q: Q, num_classes: int) -> int:
    """Length of an input vector: J for one side, 2J for the pair."""
    return num_classes * (uses_client(q) + uses_server(q))


Outputs = tuple[Tensor, ...]
"""Logits [n, J] of the server, the client or both, as Q wants them; n may be 0."""


def public_outputs(view: ServerView, client: int, round: int, q: Q, wanted: Tensor) -> tuple[Tensor, Outputs]:
    """Logits for the public images that the client answered for.

    Args:
        wanted: int64, public rows the attack would use, ascending; those that the client did not transmit
            are left out.

    Returns:
        rows int64 [n], in the order they were asked for, and their logits; there may be none.
    """
    rows, logits = view.client_logits(client, round)
    keep = torch.isin(rows, wanted)
    rows, logits = rows[keep], logits[keep]
    parts = (view.server_logits(round)[rows],) if uses_server(q) else ()
    return rows, (*parts, logits) if uses_client(q) else parts


def newest_outputs(view: ServerView, client: int, round: int, q: Q, wanted: Tensor) -> tuple[Tensor, Outputs]:
    """Like `public_outputs`, with each row's newest pair of rounds 1 to ``round``: where the server asks for some
    rows only (FedGEMS), what it asked for earlier is not forgotten.

    Returns:
        rows int64 [n], ascending, and their logits.
    """
    found: list[tuple[Tensor, Outputs]] = []
    for t in range(round, 0, -1):
        rows, outputs = public_outputs(view, client, t, q, wanted)
        found.append((rows, outputs))
        wanted = wanted[~torch.isin(wanted, rows)]
        if len(wanted) == 0:
            break
    every = torch.cat([rows for rows, _ in found])
    order = every.argsort()
    parts = zip(*(outputs for _, outputs in found), strict=True)
    return every[order], tuple(torch.cat(part)[order] for part in parts)


def paired(outputs: Outputs, tau: float) -> Tensor:
    """The input of Eq. 2, [p⁰, p^k] or one of them: float32 [n, width]."""
    return torch.cat([tempered(part, tau) for part in outputs], 1)


def public_inputs(
    view: ServerView, client: int, round: int, tau: float, q: Q, wanted: Tensor
) -> tuple[Tensor, Tensor]:
    """`public_outputs`, paired: rows int64 [n] and inputs float32 [n, width]."""
    rows, outputs = public_outputs(view, client, round, q, wanted)
    return rows, paired(outputs, tau)


def target_inputs(labels: Tensor, num_classes: int, alpha: float, q: Q) -> Tensor:
    """The maximizer of Q for each target label, in closed form (Eq. 6).

    The client's part is one-hot. The server's part maximizes p_j + α·H(p): by Lagrange log p_u is the same
    for all u ≠ j and log p_j − log p_u = 1/α, so p_j = e^{1/α} / (J − 1 + e^{1/α}). Without the entropy term
    it is one-hot; with the entropy term alone it is uniform.

    Args:
        labels: int64 [T].
        num_classes: J.
        alpha: weight of the entropy, > 0.
        q: the terms of Q.

    Returns:
        float32 [T, width].
    """
    one_hot = torch.nn.functional.one_hot(labels, num_classes).to(torch.float32)
    # 1 / (J − 1 + e^{1/α}) with numerator and denominator scaled by e^{−1/α}: no overflow for small α
    other = math.exp(-1 / alpha) / ((num_classes - 1) * math.exp(-1 / alpha) + 1)
    optimum = torch.full((len(labels), num_classes), other).scatter_(
        1, labels[:, None], 1 / ((num_classes - 1) * math.exp(-1 / alpha) + 1)
    )
    uniform = torch.full((len(labels), num_classes), 1 / num_classes)
    server = {"full": optimum, "client+server": one_hot, "client+entropy": uniform, "server": optimum}
    parts = [server[q]] if uses_server(q) else []
    if uses_client(q):
        parts.append(one_hot)
    return torch.cat(parts, 1)
