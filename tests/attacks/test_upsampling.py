"""Transposed convolutions as products, against the library's own."""

import pytest
import torch
import torch.nn.functional as F
from library_network import library_layer
from torch import nn

from logitleak.attacks.upsampling import Doubling, Kernels, Spread

SHAPES = [
    (1, 4, 16, 4, 4),
    (3, 5, 7, 4, 4),
    (2, 8, 6, 8, 8),
    (2, 4, 3, 32, 32),
    (2, 6, 12, 16, 16),
    (1, 1, 1, 1, 3),
]


def drawn(layer: type[Kernels], inputs: int, outputs: int) -> Kernels:
    made = layer(inputs, outputs)
    made.start(torch.Generator().manual_seed(5))
    return made


@pytest.mark.parametrize(("n", "inputs", "outputs", "height", "width"), SHAPES)
def test_doubling_and_its_gradients_are_the_transposed_convolution(
    n: int, inputs: int, outputs: int, height: int, width: int
) -> None:
    layer = drawn(Doubling, inputs, outputs)
    oracle = library_layer(layer)
    maps = torch.randn(n, inputs, height, width, requires_grad=True)
    ours, theirs = layer(maps), oracle(maps)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    weights = torch.randn_like(theirs)
    found = torch.autograd.grad((ours * weights).sum(), (maps, layer.kernel, layer.bias))
    wanted = torch.autograd.grad((theirs * weights).sum(), (maps, oracle.weight, oracle.bias))  # type: ignore[arg-type]
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[1].permute(0, 3, 1, 2), wanted[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[2], wanted[2], rtol=1e-4, atol=1e-4)


def test_doubling_passes_finite_differences() -> None:
    layer = drawn(Doubling, 2, 3).double()
    maps = torch.randn(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (maps,))

    def by_kernel(kernel: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"kernel": kernel}, (maps.detach(),))

    assert torch.autograd.gradcheck(by_kernel, (layer.kernel,))


def test_spread_is_the_transposed_convolution_of_one_pixel() -> None:
    layer = drawn(Spread, 6, 5)
    vectors = torch.rand(3, 6)
    wanted = library_layer(layer)(vectors[:, :, None, None])
    torch.testing.assert_close(layer(vectors), wanted, rtol=1e-5, atol=1e-6)


def test_the_start_is_the_one_the_library_would_draw() -> None:
    layer = drawn(Doubling, 4, 6)
    made, generator = nn.ConvTranspose2d(4, 6, 4, 2, 1), torch.Generator().manual_seed(5)
    nn.init.kaiming_uniform_(made.weight, a=5**0.5, generator=generator)
    fan_in, _ = nn.init._calculate_fan_in_and_fan_out(made.weight)
    nn.init.uniform_(made.bias, -(fan_in**-0.5), fan_in**-0.5, generator=generator)  # type: ignore[arg-type]
    torch.testing.assert_close(library_layer(layer).state_dict(), made.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("side", [4, 16])
def test_bfloat16_is_close(side: int) -> None:
    layer = drawn(Doubling, 32, 16)
    maps = torch.randn(4, 32, side, side, requires_grad=True)
    wanted = layer(maps)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(maps)
    assert found.dtype == torch.bfloat16
    assert (found.float() - wanted).norm().item() < 0.01 * wanted.norm().item()
    exact = torch.autograd.grad(wanted.square().sum(), (maps, layer.kernel))
    rough = torch.autograd.grad(found.float().square().sum(), (maps, layer.kernel))
    for a, b in zip(exact, rough, strict=True):
        assert b.dtype == a.dtype
        assert float((a - b).norm() / a.norm()) < 0.02
    assert F.cosine_similarity(exact[1].flatten(), rough[1].flatten(), dim=0) > 0.999
