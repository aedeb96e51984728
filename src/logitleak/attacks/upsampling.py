"""Transposed convolutions as matrix products, for the two shapes that inversion networks have.

The library's transposed convolutions reach a third of the speed of a matrix product where maps are small and channels
are many, which is where most of an inversion network's arithmetic is. Kernels lie in memory as [in, h, w, out], the
order that products and channels-last images want, so no step copies or reorders them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SMALL_MAP = 8 * 8
_FEW_CHANNELS = 8


class Kernels(nn.Module):
    """A layer's parameters: ``kernel`` [in, side, side, out] and ``bias`` [out]."""

    def __init__(self, inputs: int, outputs: int, side: int = 4) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(inputs, side, side, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    @torch.no_grad()
    def start(self, generator: torch.Generator) -> None:
        """The start that a `torch.nn.ConvTranspose2d` of these sizes would draw from this generator."""
        inputs, height, width, outputs = self.kernel.shape
        weight = torch.empty(inputs, outputs, height, width)
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
        self.kernel.copy_(weight.permute(0, 2, 3, 1))
        bound = 1 / math.sqrt(outputs * height * width)
        nn.init.uniform_(self.bias, -bound, bound, generator=generator)


class Spread(Kernels):
    """Vectors [n, in] to maps [n, out, side, side]: the transposed convolution of a 1×1 map, one product. It is float32
    under autocast too: a batch reads each of its many weights once, and converting them would cost more."""

    def forward(self, vectors: Tensor) -> Tensor:
        with torch.autocast(vectors.device.type, enabled=False):
            maps = (vectors @ self.kernel.flatten(1)).view(len(vectors), *self.kernel.shape[1:])
        return (maps + self.bias).permute(0, 3, 1, 2)


class Doubling(Kernels):
    """Maps [n, in, H, W] to [n, out, 2H, 2W]: the transposed convolution 4×4 with stride 2 and padding 1.

    Every input pixel times the whole kernel is a 4×4 patch of outputs; patches of neighbors overlap by two
    pixels and are added.
    """

    def forward(self, maps: Tensor) -> Tensor:
        if not self._as_product(maps):
            return F.conv_transpose2d(maps, self.kernel.permute(0, 3, 1, 2), self.bias, 2, 1)
        out: Tensor = _Product.apply(maps, self.kernel)
        return out + self.bias[:, None, None].to(out)

    def _as_product(self, maps: Tensor) -> bool:
        """Whether the product is faster than the library's convolution: on CPUs, but for large maps of many
        channels (docs/performance.md)."""
        small = maps.shape[-2] * maps.shape[-1] <= _SMALL_MAP or len(self.bias) <= _FEW_CHANNELS
        return maps.device.type == "cpu" and small


class _Product(torch.autograd.Function):
    """`Doubling` without bias. Under autocast the factors are bfloat16, forward and backward."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, kernel: Tensor) -> Tensor:
        n, inputs, height, width = maps.shape
        rows, factor = maps.permute(0, 2, 3, 1).reshape(-1, inputs), kernel.flatten(1)
        ctx.types = maps.dtype, kernel.dtype
        if torch.is_autocast_enabled("cpu"):
            rows, factor = (t.to(torch.get_autocast_dtype("cpu")) for t in (rows, factor))
        ctx.save_for_backward(rows, factor)
        patches = (rows @ factor).view(n, height, width, 4, 4, -1)
        return _add_patches(patches).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        rows, factor = ctx.saved_tensors
        n, outputs = gradient.shape[:2]
        height, width = gradient.shape[2] // 2, gradient.shape[3] // 2
        patches = _cut_patches(gradient.to(rows.dtype)).reshape(n * height * width, -1)
        to_maps = (patches @ factor.T).view(n, height, width, -1).permute(0, 3, 1, 2)
        to_kernel = (rows.T @ patches).view(-1, 4, 4, outputs)
        return to_maps.to(ctx.types[0]), to_kernel.to(ctx.types[1])


def _add_patches(patches: Tensor) -> Tensor:
    """Patches [n, H, W, 4, 4, C] to their sum [n, 2H, 2W, C]: output row 2i is row 1 of the patches i plus row 3 of
    those above, output row 2i + 1 is row 2 of the patches i plus row 0 of those below, and columns alike."""
    n, height, width, _, _, channels = patches.shape
    rows = patches.new_empty(n, height, 2, width, 4, channels)
    rows[:, :, 0] = patches[:, :, :, 1]
    rows[:, 1:, 0] += patches[:, :-1, :, 3]
    rows[:, :, 1] = patches[:, :, :, 2]
    rows[:, :-1, 1] += patches[:, 1:, :, 0]
    out = patches.new_empty(n, height, 2, width, 2, channels)
    out[:, :, :, :, 0] = rows[:, :, :, :, 1]
    out[:, :, :, 1:, 0] += rows[:, :, :, :-1, 3]
    out[:, :, :, :, 1] = rows[:, :, :, :, 2]
    out[:, :, :, :-1, 1] += rows[:, :, :, 1:, 0]
    return out.view(n, 2 * height, 2 * width, channels)


def _cut_patches(gradient: Tensor) -> Tensor:
    """The adjoint: [n, C, 2H, 2W] to a view [n, H, W, 4, 4, C] of overlapping patches, zero beyond the border."""
    n, channels, height, width = gradient.shape
    padded = F.pad(gradient.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).contiguous()
    image, row, column, _ = padded.stride()
    return padded.as_strided(
        (n, height // 2, width // 2, 4, 4, channels), (image, 2 * row, 2 * column, row, column, 1)
    )
