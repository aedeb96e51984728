"""Features that say little of the image and much of its label (BiDO)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from logitleak.defenses.base import DefenseSettings
from logitleak.defenses.training import TrainingDefense, last_linear, need_features


class BiDOSettings(DefenseSettings):
    """Settings of the two penalties.

    Attributes:
        images: λ_x, the weight of the dependence between features and images, which is to be small.
        labels: λ_y, the weight of the dependence between features and labels, which is to be large.
        width: of the Gaussian kernels: their standard deviation over the square root of the dimension.
    """

    images: float = Field(default=0.05, ge=0, le=1e3)
    labels: float = Field(default=0.5, ge=0, le=1e3)
    width: float = Field(default=5.0, gt=0, le=1e3)


class BiDO(TrainingDefense):
    """Adds λ_x·HSIC(X, Z) − λ_y·HSIC(Z, Y) to the loss of each batch of private images (Peng et al., 2022), with images
    X, features Z, the inputs of the last linear layer, and labels Y. There it is the sum over all hidden layers; here
    it is one layer, which every model has.
    """

    Settings = BiDOSettings
    settings: BiDOSettings
    strengths = ({"images": 0.05}, {"images": 0.5}, {"images": 5.0})
    _images: Tensor
    _features: Tensor

    def check_model(self, name: str, model: nn.Module) -> None:
        """It needs a last linear layer."""
        need_features("bido", name, model)

    @contextmanager
    def attached(self, model: nn.Module) -> Iterator[None]:
        """Looks at what goes into the model, and into its last linear layer."""
        layer = last_linear(model)
        assert layer is not None  # models were checked

        def look(module: nn.Module, given: tuple[Any, ...]) -> None:
            images: Tensor = given[0]
            self._images = images / 255 if images.dtype == torch.uint8 else images

        def keep(module: nn.Module, given: tuple[Any, ...]) -> None:
            self._features = given[0]

        with model.register_forward_pre_hook(look), layer.register_forward_pre_hook(keep):
            yield

    def penalty(self, targets: Tensor) -> Tensor | None:
        """Nothing for a single image, which depends on nothing."""
        if len(targets) < 2:
            return None
        s = self.settings
        x, z, y = (
            gaussian_kernel(each.flatten(1).to(targets.dtype), s.width)
            for each in (self._images, self._features, targets)
        )
        return s.images * hsic(x, z) - s.labels * hsic(z, y)

    def sees(self) -> str:
        return (
            "Outputs of a model whose features were to depend little on private images, and much on their labels "
            f"(weights {self.settings.images:g} and {self.settings.labels:g})."
        )


def gaussian_kernel(values: Tensor, width: float) -> Tensor:
    """exp(−‖a − b‖² / 2σ²) of all pairs of rows [n, d], [n, n], with σ = width·√d."""
    squares = values.square().sum(1)
    distances = (squares[:, None] + squares[None, :] - 2 * values @ values.T).clamp_min(0)
    sigma = width * math.sqrt(values.shape[1])
    return torch.exp(-distances / (2 * sigma**2))


def hsic(one: Tensor, other: Tensor) -> Tensor:
    """The Hilbert–Schmidt independence criterion of two kernels [n, n], n ≥ 2: tr(K H L H) / (n − 1)², with
    H = 1 − 1/n (Gretton et al., 2005). It is 0 where they are independent, and never below."""
    n = len(one)
    centered = one - one.mean(0, keepdim=True) - one.mean(1, keepdim=True) + one.mean()
    return (centered * other).sum() / (n - 1) ** 2
