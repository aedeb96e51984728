"""Choice of temperature and ridge weight without the truth, from the public images alone.

*Mock targets*: every identity of D_0 plays the target once. All its images are left out, its mean image is
predicted from the input that an attack would use (Eq. 6), and the prediction is right if it points more to this
identity's mean image than to any other's. The setting with most right answers wins. This asks just what the attack
will be asked, and leaving an identity out has a closed form, so it costs one eigendecomposition.

*Generalized cross-validation* (Golub, Heath and Wahba, 1979) asks how well single images are predicted, and takes
photographs of one person for independent. With several of each person it chooses too small a weight; it is what
remains where the public set has no labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from logitleak.attacks.gram import spectrum, widened

TEMPERATURES = (3.0, 10.0, 30.0)
"""Candidate temperatures τ. A mock target's images were learnt by every model, a real target's by its owner alone,
so outputs that are almost one-hot look better on mock targets than they are: no candidate is below the paper's 3."""

GRID = tuple(10 ** (e / 2) for e in range(-10, 5))
"""Candidate weights λ, 1e-5 to 100, two in a decade."""

PROJECTIONS = 128
"""Images are compared in so many random directions, which keep angles and lengths (Johnson and Lindenstrauss)."""


_MANY = 1000
"""With more inputs mock targets are scored in float32, which takes half the time. Scores are then the same from
λ = 1e-2 on, where so many inputs have their optimum, and too low below 1e-3 (docs/performance.md)."""

_BATCH_NUMBERS = 1 << 18


class MockScore(NamedTuple):
    """How well mock targets came back: share named right, and mean cosine to their own mean image. The larger
    share is better; among equals, the larger cosine."""

    accuracy: float
    cosine: float

    def plus(self, other: MockScore) -> MockScore:
        """Both sums, to average over clients."""
        return MockScore(self.accuracy + other.accuracy, self.cosine + other.cosine)


def mock_target_scores(
    z: Tensor, images: Tensor, identities: Tensor, mock_inputs: Tensor, grid: tuple[float, ...]
) -> list[MockScore]:
    """Score every weight of the grid on left-out public identities.

    With M = ZᵀZ + λ s I, H = Z M⁻¹ Zᵀ and residuals R = X − H X, leaving out the rows g of one identity changes the
    solution to W − M⁻¹ Z_gᵀ (I − H_gg)⁻¹ R_g, so no refit is needed.

    Args:
        z: [n, d] centered inputs of the public images.
        images: [n, p] centered images, or random projections of them.
        identities: int64 [n], 0..G−1, each at least once.
        mock_inputs: [G, d] centered inputs that an attack on each identity would use.
        grid: candidate weights, > 0.
    """
    found = spectrum(z, torch.float32 if min(z.shape) > _MANY else torch.float64)
    values, vectors, scale = found.values.to(z.dtype), found.vectors.to(z.dtype), found.scale
    basis, mock = z @ vectors, mock_inputs @ vectors
    projected = basis.T @ images
    inverses = [1 / (values + lam * scale) for lam in grid]
    residuals = [images - basis @ (inverse[:, None] * projected) for inverse in inverses]
    predictions = [(mock * inverse) @ projected for inverse in inverses]
    for members, rows in _groups_by_size(identities, len(mock_inputs), z.shape[1]):
        own, wanted = basis[rows], mock[members][:, None]  # [g, m, d], [g, 1, d]
        eye = torch.eye(rows.shape[1]).to(own)
        for inverse, residual, predicted in zip(inverses, residuals, predictions, strict=True):
            weighted = (own * inverse).transpose(1, 2)  # [g, d, m]
            left_out = torch.baddbmm(eye, own, weighted, alpha=-1)  # [g, m, m]
            error = torch.linalg.solve(left_out, residual[rows])  # [g, m, p]
            predicted[members] -= ((wanted @ weighted) @ error)[:, 0]
    means = images.new_zeros(predictions[0].shape).index_add_(0, identities, images)
    means = torch.nn.functional.normalize(means, dim=1)  # of a sum or of a mean: the direction is the same
    return [_score(predicted, means) for predicted in predictions]


def _score(predicted: Tensor, means: Tensor) -> MockScore:
    """Predictions [G, p] against the directions of the mean images [G, p]."""
    cosines = torch.nn.functional.normalize(predicted, dim=1) @ means.T
    right = cosines.argmax(1).cpu() == torch.arange(len(predicted))
    return MockScore(float(right.float().mean()), float(cosines.diagonal().mean()))


def _groups_by_size(identities: Tensor, groups: int, width: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Groups of equal size together, so that none is padded: one with hundreds of photos would make all as large.
    Batches are small enough that inputs of that width stay in the cache while every weight is tried.

    Yields:
        int64 group numbers [g] and their row numbers [g, m].
    """
    order = torch.argsort(identities, stable=True)
    counts = torch.bincount(identities, minlength=groups)
    starts = counts.cumsum(0) - counts
    for size in torch.unique(counts).tolist():
        batch = max(1, _BATCH_NUMBERS // (size * width))
        for members in torch.nonzero(counts == size).flatten().split(batch):
            places = starts[members][:, None] + torch.arange(size, device=order.device)
            yield members, order[places]


def project(images: Iterable[Tensor], generator: torch.Generator) -> Tensor:
    """Images [n, p] in `PROJECTIONS` random directions, [n, 128]; unchanged where p is no larger.

    Args:
        images: some rows at a time, [b, p].
        generator: draws the directions.
    """
    seen: list[Tensor] = []
    directions: Tensor | None = None
    for block in images:
        if block.shape[1] <= PROJECTIONS:
            seen.append(block)
            continue
        if directions is None:
            drawn = torch.randn(block.shape[1], PROJECTIONS, generator=generator)
            directions = (drawn / PROJECTIONS**0.5).to(block)
        seen.append(block @ directions)
    return torch.cat(seen)


def gcv_scores(z: Tensor, images: Iterable[Tensor], grid: tuple[float, ...]) -> Tensor:
    """Generalized cross-validation: n ‖X − H X‖² / (n − tr H − 1)² on the public images; the smallest is best.

    H = Z (ZᵀZ + λ s I)⁻¹ Zᵀ with s the mean of the diagonal of ZᵀZ; the 1 stands for the centering. One
    eigendecomposition of the Gram matrix serves the whole grid.

    Args:
        z: [n, d] centered inputs.
        images: centered images, some pixels at a time, [n, b].
        grid: candidate weights, > 0.

    Returns:
        float64 [len(grid)], on the CPU.
    """
    n = len(z)
    values, vectors, scale = spectrum(z)
    basis = widened(z, vectors).to(z.dtype).T
    energy, total = torch.zeros_like(values), values.new_zeros(())
    for block in images:
        energy += (basis @ block).square().sum(1, dtype=torch.float64)
        total += block.square().sum(dtype=torch.float64)
    scores = torch.empty(len(grid), dtype=torch.float64)
    for i, lam in enumerate(grid):
        shrunk = values + lam * scale
        residual = total - (2 * energy / shrunk - values * energy / shrunk.square()).sum()
        freedom = n - 1 - (values / shrunk).sum()
        scores[i] = n * residual.clamp_min(0) / freedom.clamp_min(1e-9).square()
    return scores
