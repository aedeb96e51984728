"""The inversion network as the paper's code writes it: the library's transposed convolutions, from a 1×1 map."""

import copy

from torch import nn

from logitleak.attacks.networks import InversionNetwork
from logitleak.attacks.upsampling import Kernels, Spread


def library_layer(layer: Kernels) -> nn.ConvTranspose2d:
    """The library's layer with the same weights."""
    stride, padding = (1, 0) if isinstance(layer, Spread) else (2, 1)
    made = nn.ConvTranspose2d(len(layer.kernel), len(layer.bias), layer.kernel.shape[1], stride, padding)
    made.load_state_dict({"weight": layer.kernel.permute(0, 3, 1, 2), "bias": layer.bias})
    return made


def library_network(network: InversionNetwork) -> nn.Sequential:
    """The same network, which takes vectors as maps [n, in, 1, 1]."""
    copied = copy.deepcopy(network.layers)
    return nn.Sequential(*(library_layer(layer) if isinstance(layer, Kernels) else layer for layer in copied))
