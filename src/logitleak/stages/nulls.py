"""Free nulls: what an attack rebuilds where it cannot have seen the private image, in one ordinary federation.

*Non-owners*: nothing has been aggregated before the first upload, so what a client sends in round 1 cannot hold a
person that it does not have. *Own model*: where the server learns from the public set alone, its model in place of a
client.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from logitleak.attacks.base import create
from logitleak.attacks.views import FirstRounds, WithoutClient
from logitleak.files.storage import read_tensors
from logitleak.formats import AttackFile
from logitleak.formats.reading import read_file
from logitleak.metrics.attack import References, judge, number
from logitleak.metrics.proportion import clustered
from logitleak.seeds import derive
from logitleak.stages.knowing import as_read
from logitleak.stages.worlds import CONTROL, own_model_is_null
from logitleak.types import ServerView
from logitleak.wire.transcript import Transcript

MOST = 400
"""No more images of non-owners than this are scored; more cost time and say little more."""


def nulls(view: Transcript, folder: Path, known: References, seed: int) -> list[dict[str, Any]]:
    """What an attack's controls score (see docs/run-folder.md).

    Args:
        view: the only world's transcript.
        folder: the attack's folder.
        known: what reconstructions are compared with.
        seed: chooses which images of non-owners are scored, where there are many.
    """
    found = []
    if view.clients > 1 and bool((known.owners >= 0).all()):
        found += _non_owners(view, folder, known, seed)
    control = folder / CONTROL
    if (control / "attack.json").exists():
        last = read_tensors(control / f"round-{view.rounds:02d}.safetensors")
        summary = "The server's own model, which no private image has reached, in place of the clients"
        each = torch.arange(len(known.labels))
        found.append(_entry("own-model", view.rounds, last["images"], each, known, summary))
    return found


def _non_owners(view: Transcript, folder: Path, known: References, seed: int) -> list[dict[str, Any]]:
    """Images of round 1 that are not their owner's."""
    file = folder / "round-01.safetensors"
    stored = read_tensors(file)
    if "clients" not in stored:  # a sum has no owners
        return []
    pairs = torch.nonzero(~known.holds(view.clients).T)  # [n, 2]: client, place
    absent = view.absent(1).get(view.manifest.uploads.action, {})
    heard = torch.tensor([k not in absent for k in range(view.clients)])
    pairs = pairs[heard[pairs[:, 0]]]
    if len(pairs) == 0:
        return []
    if len(pairs) > MOST:
        pairs = pairs[torch.randperm(len(pairs), generator=derive(seed, "nulls"))[:MOST]]
    said = read_file(folder / "attack.json", AttackFile)
    if "server_logits" in said["needs"] and not own_model_is_null(view):
        return []  # f_0 has learnt from the owner's first upload when it is paired with the others'
    if not said["compares_clients"]:
        images = stored["clients"][pairs[:, 0], pairs[:, 1]].float()
    elif view.clients > 2 and not known.shared:
        images = _without_owners(as_read(view, said.get("uploads", "as-sent")), said, pairs, known)
    else:  # without the owner nobody is left to compare with, and with shared classes other owners are
        return []
    summary = "First uploads of clients that do not hold the target and have heard of nobody yet"
    return [_entry("non-owners", 1, images, pairs[:, 1], known, summary)]


def _without_owners(view: ServerView, said: dict[str, Any], pairs: Tensor, known: References) -> Tensor:
    """The same where an attack compares clients: it is run again without each target's owner, who would stand in the
    comparison."""
    images = torch.empty(len(pairs), 3, *view.knowledge.public.image_size)
    for owner in torch.unique(known.owners[pairs[:, 1]]).tolist():
        seen: ServerView = FirstRounds(WithoutClient(view, owner), 1)
        made = create(said["attack"], said["settings"])
        *_, (_, result) = made.replay(seen)
        mine = torch.nonzero(known.owners[pairs[:, 1]] == owner).flatten()
        clients, places = pairs[mine, 0], pairs[mine, 1]
        images[mine] = result.images[clients - (clients > owner).long(), places]
    return images


def _entry(
    kind: str, round: int, images: Tensor, of: Tensor, known: References, summary: str
) -> dict[str, Any]:
    """A null of some images, of which several may be of one target: its interval counts different targets."""
    verdicts = judge(images, known, of)
    return {
        "kind": kind,
        "round": round,
        "accuracy": clustered(int(verdicts.success.sum()), len(of), len(torch.unique(of))),
        "ssim": number(verdicts.ssim.mean()),
        "summary": summary,
    }
