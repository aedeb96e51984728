"""The inversion network."""

import pytest
import torch
from library_network import library_network
from torch import nn

from logitleak.attacks.networks import build
from logitleak.attacks.upsampling import Kernels
from logitleak.sides import SIDES


def test_the_papers_layers() -> None:
    network = build(2000, 64, 1024, torch.Generator().manual_seed(0))
    shapes = [tuple(m.kernel.shape) for m in network.modules() if isinstance(m, Kernels)]
    assert shapes == [
        (2000, 4, 4, 1024), (1024, 4, 4, 512), (512, 4, 4, 256), (256, 4, 4, 128), (128, 4, 4, 3),
    ]  # fmt: skip
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [m.num_features for m in norms] == [1024, 512, 256, 128]


@pytest.mark.parametrize("side", SIDES)
def test_every_side(side: int) -> None:
    images = build(5, side, 32, torch.Generator().manual_seed(0))(torch.rand(2, 5))
    assert images.shape == (2, 3, side, side)
    assert images.abs().max() <= 1


def test_it_is_the_library_s_stack_of_transposed_convolutions() -> None:
    network = build(6, 32, 16, torch.Generator().manual_seed(1)).eval()
    vectors = torch.rand(3, 6)
    with torch.no_grad():
        wanted = library_network(network)(vectors[:, :, None, None])
        torch.testing.assert_close(network(vectors), wanted, rtol=1e-5, atol=1e-5)
