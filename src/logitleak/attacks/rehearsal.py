"""Pieces of what attacks do, tried on noise, so that `logitleak validate` can say how long a whole attack takes here.

A piece is as large as the real one where that takes a fraction of a second (a training step, a choice among clients).
Least squares take hours where they are large: those are tried at one size, and counted by their multiplications.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from logitleak.attacks.departures import Departures
from logitleak.attacks.linear import shares
from logitleak.attacks.selection import select
from logitleak.attacks.validation import GRID, PROJECTIONS, mock_target_scores
from logitleak.machine.forecast import Scale, Work
from logitleak.types import PublicData

SIDE = 512
"""Rows and inputs of the least-squares problem that is tried."""

TARGETS = 32
"""Its targets."""

IMAGES = 256
"""Public images that are summed in a try."""

COMPARED = 4
"""Targets among whose images a choice is tried."""

EIGEN = 9
"""Multiplications of an eigendecomposition with vectors, in cubes of its side."""


def training(
    name: str,
    network: Callable[[], nn.Module],
    batch: int,
    width: int,
    device: torch.device,
    rough: bool,
    times: float,
) -> Work:
    """Optimizer steps of a network that makes images.

    Args:
        name: what to call them; steps of one name take equally long.
        network: makes it, from vectors [b, width] to images.
        batch: b, at least 2.
        width: of a vector.
        device: where it trains.
        rough: whether products are in bfloat16.
        times: how many steps there are.
    """

    @cache
    def made() -> tuple[nn.Module, torch.optim.Optimizer, Tensor, Tensor]:
        learner = network().to(device).train()
        inputs = noise(batch, width).to(device)
        with torch.no_grad():
            images = torch.rand_like(learner(inputs))
        return learner, torch.optim.Adam(learner.parameters(), fused=True), inputs, images

    def once() -> None:
        learner, optimizer, inputs, images = made()
        with torch.autocast(device.type, torch.bfloat16, enabled=rough):
            output = learner(inputs)
        loss = F.mse_loss(output.float(), images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        float(loss.detach())  # waits for a GPU

    return Work(name, once, times)


def solving(rows: int, widths: Sequence[int], targets: int, device: torch.device) -> Work:
    """Ridge regressions by `linear.shares`.

    Args:
        rows: n, public images.
        widths: d, the length of an input, of each regression.
        targets: T.
        device: where they are solved.
    """

    @cache
    def made() -> tuple[Tensor, Tensor]:
        z = noise(SIDE, SIDE).to(device)
        return z - z.mean(0), noise(TARGETS, SIDE).to(device)

    def once() -> None:
        shares(*made(), 0.1).cpu()

    tried = _multiplied(SIDE, SIDE, TARGETS)
    return Work("regression", once, sum(_multiplied(rows, width, targets) for width in widths) / tried)


def combining(scale: Scale, device: torch.device, times: float) -> Work:
    """Sums of all sensitive public images, one for each target; ``times`` for how many clients and rounds."""
    targets, side = min(scale.targets, 2 * TARGETS), scale.side

    @cache
    def made() -> tuple[Departures, Tensor]:
        images = noise(IMAGES, 3, side, side).abs().mul(80).to(torch.uint8)
        public = PublicData(images, None, torch.ones(IMAGES, dtype=torch.bool))
        return Departures(public, torch.arange(IMAGES), device), noise(IMAGES, targets).to(device)

    def once() -> None:
        departures, weights = made()
        departures.combined(weights).cpu()

    share = scale.sensitive / IMAGES * scale.targets / max(1, targets)
    return Work("sums of images", once, times * share)


def validating(rows: int, width: int, people: int, device: torch.device, times: float) -> Work:
    """Choices of λ by leaving out public people (`mock_target_scores`); ``times`` for how many clients, rounds and
    temperatures."""

    @cache
    def made() -> tuple[Tensor, Tensor, Tensor, Tensor]:
        z = noise(SIDE, SIDE).to(device)
        identities = torch.arange(SIDE, device=device) % TARGETS
        return (
            z - z.mean(0),
            noise(SIDE, PROJECTIONS).to(device),
            identities,
            noise(TARGETS, SIDE).to(device),
        )

    def once() -> None:
        mock_target_scores(*made(), GRID)

    def multiplied(n: int, d: int, groups: int) -> float:
        side = min(n, d)
        return n * d * side + EIGEN * side**3 + len(GRID) * (2 * n + groups) * side * PROJECTIONS

    return Work(
        "choice of the weight",
        once,
        times * multiplied(rows, width, people) / multiplied(SIDE, SIDE, TARGETS),
    )


def choosing(scale: Scale, beta: float, rounds: int) -> Work:
    """The choice of Eq. 11 among clients, after each of so many rounds."""
    targets = max(1, min(scale.targets, COMPARED))

    @cache
    def made() -> Tensor:
        return noise(scale.clients, targets, 3, scale.side, scale.side).abs().clamp(0, 1)

    def once() -> None:
        select(made(), torch.arange(targets), beta)

    return Work("choice among clients", once, rounds * scale.targets / targets)


def _multiplied(rows: int, width: int, targets: int) -> float:
    """About how often two numbers are multiplied in a regression: 5/8 of a Gram matrix, its factor, and its use."""
    side = min(rows, width)
    return 0.625 * rows * width * side + side**3 / 6 + (side * side + rows * width) * targets


def noise(*shape: int) -> Tensor:
    """Normal numbers, the same every time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))
