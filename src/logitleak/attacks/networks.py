"""The inversion network: from a vector of outputs back to an image (Code 2 of the paper's appendix B)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from logitleak.attacks.upsampling import Doubling, Kernels, Spread


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
        layers: list[nn.Module] = [Spread(inputs, width), nn.BatchNorm2d(width), nn.Tanh()]
        for before, after in pairwise(channels):
            layers += [Doubling(before, after), nn.BatchNorm2d(after), nn.Tanh()]
        self.layers = nn.Sequential(*layers, Doubling(channels[-1], 3), nn.Tanh())

    def forward(self, inputs: Tensor) -> Tensor:
        """Images [n, 3, side, side] in [−1, 1] from vectors [n, inputs]."""
        out: Tensor = self.layers(inputs)
        return out


def build(inputs: int, side: int, width: int, generator: torch.Generator) -> InversionNetwork:
    """A network initialized from one generator, without touching the global random state."""
    with torch.device("meta"):
        network = InversionNetwork(inputs, side, width)
    network = network.to_empty(device="cpu")
    for layer in network.modules():
        if isinstance(layer, Kernels):
            layer.start(generator)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
    return network
