"""What every classifier shares: its door, and a seeded start that leaves the global random state alone."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from logitleak import registry


class Classifier(nn.Module, ABC):
    """A classifier that takes pixels in [0, 1] (float) or 0..255 (uint8) and normalizes at its own door.

    Subclasses take ``(image_size, num_classes)`` with ``image_size = (height, width)`` and write `logits`.
    """

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits [n, J] of images [n, 3, H, W]."""
        return self.logits(normalize(pixels, next(self.parameters()).dtype))

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """Logits [n, J] of normalized images [n, 3, H, W] in [−1, 1]."""


def normalize(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pixels uint8 0..255 or float [0, 1] to [−1, 1], in the layout that convolutions prefer, channels last."""
    scale = 2 / 255 if pixels.dtype == torch.uint8 else 2.0
    x = pixels.permute(0, 2, 3, 1).contiguous().to(dtype)  # reordered while they are bytes
    return x.mul(scale).sub_(1).permute(0, 3, 1, 2)


def build(
    name: str,
    image_size: tuple[int, int],
    num_classes: int,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """A registered classifier, initialized from ``generator`` alone.

    Raises:
        UserError: no model has this name.
    """
    model = registry.load("model", name)
    with torch.device("meta"):  # on "meta" a constructor draws nothing from the global generator
        module: nn.Module = model(image_size, num_classes)
    return initialize(module.to_empty(device="cpu").to(dtype), generator)


def initialize(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """PyTorch's default initialization of linear, convolution and normalization layers, from one generator."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
            if layer.bias is not None:
                fan_in, _ = nn.init._calculate_fan_in_and_fan_out(layer.weight)
                bound = 1 / math.sqrt(fan_in)
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
        elif isinstance(layer, nn.GroupNorm):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.reset_parameters()
    return module
