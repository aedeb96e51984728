"""The best linear translation, in closed form: mean D_a images of public identities to their mean D_0 images.

Each output pixel is a linear function of all input pixels. With X the centered mean D_a images of the n
identities that have both domains, and Y the centered mean D_0 images, the translation of x is

    ȳ + a ⊙ (x − x̄) + (x − x̄) Xᵀ (X Xᵀ + λ I)⁻¹ (Y − a ⊙ X):

ridge regression that shrinks to a pixel-wise line, not to zero. Where the domains look alike (around a mask) the
slope a comes out near 1 and the pixel is handed on; where they do not (under it) a is near 0 and the pixel is told
from all the others. n identities are few and pixels are many, so everything is solved in n dimensions.

λ, and a for each pixel, are those with the smallest squared error when each identity is left out in turn. That
error has a closed form: with H = 1/n + X Xᵀ (X Xᵀ + λ I)⁻¹, leaving identity i out changes the residual of its own
image from e to e / (1 − H_ii), the mean included. Residuals are linear in the targets, so the left-out residuals
of Y − a ⊙ X are E_Y − a ⊙ E_X, and the best slope of a pixel is a quotient of two sums.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

GRID = tuple(10 ** (e / 2) for e in range(-6, 7))
"""Candidate λ relative to the mean of the diagonal of X Xᵀ: 1e-3 to 1e3, two in a decade."""


class LinearTranslator(nn.Module):
    """The translation above; images [n, 3, H, W] in, the same out.

    Attributes:
        lam: λ, relative to the mean of the diagonal of X Xᵀ.
        error: mean squared error over the identities left out, in the units of the images.
        slope: a, [3·H·W], in [0, 1].
    """

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        """Solve for it.

        Args:
            inputs: [n, 3, H, W] mean D_a images of n > 1 identities.
            targets: [n, 3, H, W] their mean D_0 images.
        """
        super().__init__()
        x, y = inputs.flatten(1), targets.flatten(1)
        self.center, self.offset = x.mean(0), y.mean(0)
        x, y = x - self.center, y - self.offset
        values, vectors = _spectrum(x)
        scale = values.mean().clamp_min(1e-12)
        self.error, self.lam, self.slope = float("inf"), 0.0, torch.zeros_like(self.center)
        for lam in GRID:
            keep = _leave_one_out(values, vectors, lam * scale).to(x)
            left_x, left_y = keep @ x, keep @ y
            slope = (left_x * left_y).sum(0) / left_x.square().sum(0).clamp_min(1e-12)
            slope = slope.clamp(0, 1)
            error = float((left_y - slope * left_x).square().mean())
            if error < self.error:
                self.error, self.lam, self.slope = error, lam, slope
        inverse = (vectors / (values + self.lam * scale)) @ vectors.T
        self.images = x
        self.weights = inverse.to(x) @ (y - self.slope * x)

    def forward(self, x: Tensor) -> Tensor:
        departure = x.flatten(1) - self.center
        out: Tensor = self.offset + self.slope * departure + (departure @ self.images.T) @ self.weights
        return out.view(x.shape)


def _spectrum(x: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [n], not negative, and eigenvectors of X Xᵀ, in double precision."""
    wide = x.double()
    values, vectors = torch.linalg.eigh(wide @ wide.T)
    return values.clamp_min(0), vectors


def _leave_one_out(values: Tensor, vectors: Tensor, lam: Tensor) -> Tensor:
    """The matrix [n, n] from targets to residuals of identities that were left out."""
    n = len(values)
    hat = (vectors * (values / (values + lam))) @ vectors.T + 1 / n
    residual = torch.eye(n, dtype=hat.dtype, device=hat.device) - hat
    return residual / residual.diagonal()[:, None]
