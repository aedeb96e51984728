"""The inversion network: from a vector of outputs back to an image (Code 2 of the paper's appendix B)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from logitleak.models.base import initialize


class InversionNetwork(nn.Module):
    """Transposed convolutions 4×4 from a 1×1 map, each doubling the side: in→W, W/2, W/4, ... →3.

    Batch normalization and tanh follow all but the last layer, tanh ends it, so images are in [−1, 1]. At
    64×64 and W = 1024 these are the paper's channels 1024, 512, 256, 128, 3.

    Args:
        inputs: length of the input vector.
        side: image side in pixels, a power of two from 16.
        width: W, channels of the first layer.
    """

    def __init__(self, inputs: int, side: int, width: int) -> None:
        super().__init__()
        doublings = round(math.log2(side / 4))
        channels = [width // 2**i for i in range(doublings)]
        self.first = nn.ConvTranspose2d(inputs, width, 4)
        self.first_norm = nn.BatchNorm2d(width)
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.Tanh()]
        self.rest = nn.Sequential(*layers, nn.ConvTranspose2d(channels[-1], 3, 4, 2, 1), nn.Tanh())

    def forward(self, inputs: Tensor) -> Tensor:
        """Images [n, 3, side, side] in [−1, 1] from vectors [n, inputs]."""
        # A transposed convolution of a 1×1 map is one matrix product, and much faster as such.
        weight = self.first.weight
        x = (inputs @ weight.flatten(1)).view(len(inputs), *weight.shape[1:])
        if self.first.bias is not None:
            x = x + self.first.bias[:, None, None]
        out: Tensor = self.rest(torch.tanh(self.first_norm(x)))
        return out


def build(inputs: int, side: int, width: int, generator: torch.Generator) -> InversionNetwork:
    """A network initialized from one generator, without touching the global random state."""
    with torch.device("meta"):
        network = InversionNetwork(inputs, side, width)
    network = network.to_empty(device="cpu")
    initialize(network, generator)
    return network
