"""The inversion network: from a vector of outputs back to an image (Code 2 of the paper's appendix B)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from logitleak.attacks.upsampling import Doubling, Kernels, Spread
from logitleak.sides import doublings


class InversionNetwork(nn.Module):
    """A map of 4×4 from a vector, and transposed convolutions 4×4, each doubling the side: in→W, W/2, W/4, ... →3.

    Batch normalization and tanh follow all but the last layer, tanh ends it, so images are in [−1, 1]. At
    64×64 and W = 1024 these are the paper's channels 1024, 512, 256, 128, 3. Sides that are no power of two begin
    with a map of 5×5, 6×6 or 7×7.

    Args:
        inputs: length of the input vector.
        side: image side in pixels, one of `logitleak.sides.SIDES`.
        width: W, channels of the first layer.
    """

    def __init__(self, inputs: int, side: int, width: int) -> None:
        super().__init__()
        count = doublings(side)
        channels = [width // 2**i for i in range(count)]
        layers: list[nn.Module] = [Spread(inputs, width, side >> count), nn.BatchNorm2d(width), nn.Tanh()]
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
