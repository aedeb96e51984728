"""Linear inversions: least squares with a ridge term, from outputs to images, and the length of what comes out."""

from __future__ import annotations

import torch
from torch import Tensor

from logitleak.attacks.gram import ROWS, gram
from logitleak.errors import UserError


def solve(z: Tensor, images: Tensor, target: Tensor, lam: float) -> Tensor:
    """Ẑ W for γ = 0, without ever forming W.

    Args:
        z: [n, d] centered inputs.
        images: [n, p] centered images.
        target: [T, d] centered target inputs.
        lam: ridge weight relative to the mean of the Gram matrix' diagonal.

    Returns:
        [T, p] departures from the mean image.
    """
    system = gram(z)
    scale = float(system.diagonal().mean())
    if scale == 0:  # the inputs say nothing, so nothing departs from the mean
        return torch.zeros(len(target), images.shape[1]).to(images)
    system.diagonal().add_(lam * scale)
    weights = cholesky_solve(target.double().T.contiguous(), system)  # [d, T]
    shares = torch.cat([block.double() @ weights for block in z.split(ROWS)])  # [n, T], of every public image
    return shares.to(images).T @ images


def cholesky_solve(right: Tensor, system: Tensor) -> Tensor:
    """The solution of a symmetric positive system.

    Raises:
        UserError: it is not positive as far as float64 can tell.
    """
    try:
        return torch.cholesky_solve(right, torch.linalg.cholesky(system))
    except torch.linalg.LinAlgError:
        raise UserError("The least-squares problem has no stable solution; raise lam or lower tau.") from None


def spread(images: Tensor) -> float:
    """Root mean square of centered images: the public images' standard deviation around their mean image."""
    # image by image: one sum of so many squares would be inexact
    lengths = torch.linalg.vector_norm(images, dim=1)
    return float(lengths.double().square().mean().div(images.shape[1]).sqrt())


def rescale(departures: Tensor, length: float) -> Tensor:
    """Scale each row to a given root mean square; rows of zeros stay zeros."""
    size = departures.square().mean(1, keepdim=True).sqrt()
    return departures * (length / size.clamp_min(1e-12))
