"""Linear inversions: least squares with a ridge term, from outputs to images, and the length of what comes out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from logitleak.attacks.departures import NUMBERS, Departures
from logitleak.attacks.gram import gram, widened
from logitleak.errors import UserError
from logitleak.machine.forecast import FLOAT


def shares(z: Tensor, target: Tensor, lam: float) -> Tensor:
    """How much of every public image is in the least-squares image of each target (γ = 0): with centered images X the
    solution is Ẑ W = sharesᵀ X, and neither W nor X is needed.

    Args:
        z: [n, d] centered inputs.
        target: [T, d] centered target inputs.
        lam: ridge weight relative to the mean of the Gram matrix' diagonal.

    Returns:
        float64 [n, T].
    """
    (n, d), wanted = z.shape, target.double().T.contiguous()
    system = gram(z.T if n < d else z)
    scale = float(system.diagonal().sum()) / d
    if scale == 0:  # the inputs say nothing, so nothing departs from the mean
        return torch.zeros(n, len(target), dtype=torch.float64, device=z.device)
    system.diagonal().add_(lam * scale)
    if n < d:  # Z (ZᵀZ + μI)⁻¹ = (ZZᵀ + μI)⁻¹ Z
        return cholesky_solve(widened(z, wanted), system)
    return widened(z, cholesky_solve(wanted, system))


class Priors(NamedTuple):
    """Prior images as rows of pixels, float32.

    Attributes:
        of_labels: [m, p], of the labels of public images.
        places: int64 [n], where each public image's is among them.
        of_targets: [T, p].
    """

    of_labels: Tensor
    places: Tensor
    of_targets: Tensor


def pulled(z: Tensor, target: Tensor, images: Departures, lam: float, gamma: float, priors: Priors) -> Tensor:
    """The solution with γ > 0, a block of pixels at a time. Priors are centered by the mean image, like all else.

    Args:
        z: [n, d] centered inputs of the public images.
        target: [T, d] centered target inputs.
        images: the public images.
        lam: ridge weight λ.
        gamma: weight γ of the prior.
        priors: x̄ of the public images and of the targets.

    Returns:
        float64 [T, p] departures from the mean image.
    """
    of_images, of_targets = _pulling(z, target, lam, gamma)
    found = []
    for columns, block in images.by_pixels():
        mean = images.mean[columns]
        own = priors.of_labels[:, columns][priors.places].sub_(mean)
        wanted = priors.of_targets[:, columns] - mean
        found.append(of_images @ own.mul_(gamma).add_(block).double() + of_targets @ wanted.double())
    return torch.cat(found, 1)


def _pulling(z: Tensor, target: Tensor, lam: float, gamma: float) -> tuple[Tensor, Tensor]:
    """What makes the solution of `pulled`, float64 [T, n] and [T, T]: Ẑ W = of_images (X + γ X̄) + of_targets X̄_L."""
    n, d = z.shape
    if n + len(target) < d:
        return _pulling_of_few(z, target, lam, gamma)
    squares, target = gram(z), target.double()
    system = (1 + gamma) * squares + gamma * target.T @ target
    system.diagonal().add_(lam * squares.diagonal().mean())
    weights = cholesky_solve(target.T.contiguous(), system)  # [d, T]
    return widened(z, weights).T, gamma * (target @ weights).T


def _pulling_of_few(z: Tensor, target: Tensor, lam: float, gamma: float) -> tuple[Tensor, Tensor]:
    """The same from the other side: with rows A = [√(1+γ) Z; √γ Ẑ] the system is AᵀA + μI, and
    A (AᵀA + μI)⁻¹ Ẑᵀ = (AAᵀ + μI)⁻¹ A Ẑᵀ."""
    n, d = z.shape
    products = gram(torch.cat([z, target]).T)
    scale = float(products.diagonal()[:n].sum()) / d
    weight = torch.cat(
        [z.new_full((n,), (1 + gamma) ** 0.5), z.new_full((len(target),), gamma**0.5)]
    ).double()
    right = weight[:, None] * products[:, n:]
    system = products.mul_(weight).mul_(weight[:, None])
    system.diagonal().add_(lam * scale)
    found = cholesky_solve(right, system).div_(weight[:, None])  # [n + T, T]: Z W, and Ẑ W
    return found[:n].T, gamma * found[n:].T


def linear_memory(rows: int, width: int, targets: int, image: int) -> int:
    """About how many bytes a linear inversion holds: inputs and what they were made of, in single precision, the Gram
    matrix (of inputs, or of images where these are fewer) and its factor in double, the weights of the targets, and
    blocks of pixels.

    Args:
        rows: n.
        width: d, length of an input.
        targets: T.
        image: bytes of an image in single precision.
    """
    blocks = 6 * min(rows * image, NUMBERS * FLOAT)
    side = min(rows, width)
    return 5 * rows * width * FLOAT + (3 * side * side + (width + rows) * targets) * 8 + blocks


def cholesky_solve(right: Tensor, system: Tensor) -> Tensor:
    """The solution of a symmetric positive system.

    Raises:
        UserError: it is not positive as far as float64 can tell.
    """
    try:
        return torch.cholesky_solve(right, torch.linalg.cholesky(system))
    except torch.linalg.LinAlgError:
        raise UserError("The least-squares problem has no stable solution; raise lam or lower tau.") from None


def rescale(departures: Tensor, length: float) -> Tensor:
    """Scale each row to a given root mean square; rows of zeros stay zeros."""
    size = departures.square().mean(1, keepdim=True).sqrt()
    return departures * (length / size.clamp_min(1e-12))
