"""The inversion network."""

import pytest
import torch
from torch import nn

from logitleak.attacks.networks import build


def test_the_papers_layers() -> None:
    network = build(2000, 64, 1024, torch.Generator().manual_seed(0))
    shapes = [tuple(m.weight.shape) for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert shapes == [
        (2000, 1024, 4, 4), (1024, 512, 4, 4), (512, 256, 4, 4), (256, 128, 4, 4), (128, 3, 4, 4),
    ]  # fmt: skip
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [m.num_features for m in norms] == [1024, 512, 256, 128]


@pytest.mark.parametrize("side", [16, 32, 64, 128])
def test_every_side(side: int) -> None:
    images = build(5, side, 32, torch.Generator().manual_seed(0))(torch.rand(2, 5))
    assert images.shape == (2, 3, side, side)
    assert images.abs().max() <= 1


def test_first_layer_is_the_transposed_convolution() -> None:
    network = build(6, 16, 16, torch.Generator().manual_seed(1)).eval()
    z = torch.rand(3, 6)
    with torch.no_grad():
        expected = network.rest(torch.tanh(network.first_norm(network.first(z[:, :, None, None]))))
        torch.testing.assert_close(network(z), expected, rtol=1e-5, atol=1e-6)
