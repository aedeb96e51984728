"""Every registered classifier, and the paper's in particular."""

import pytest
import torch
from torch import nn

from logitleak import registry
from logitleak.models.base import build, normalize
from logitleak.models.cnn import CNN


@pytest.mark.parametrize("name", registry.names("model"))
@pytest.mark.parametrize("side", [32, 64])
def test_contract(name: str, side: int) -> None:
    model = build(name, (side, side), 7, torch.Generator().manual_seed(0))
    pixels = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8)
    logits = model(pixels)
    assert logits.shape == (3, 7)
    torch.testing.assert_close(logits, model(pixels.float() / 255), rtol=1e-4, atol=1e-5)
    same = build(name, (side, side), 7, torch.Generator().manual_seed(0))
    other = build(name, (side, side), 7, torch.Generator().manual_seed(1))
    assert torch.equal(logits, same(pixels))
    assert not torch.equal(logits, other(pixels))


def test_cnn_is_the_papers() -> None:
    """Pooling before the ReLU gives what the paper's order gives; the flat layer has 12,800 inputs."""
    model = build("cnn", (64, 64), 10, torch.Generator().manual_seed(0))
    assert isinstance(model, CNN)
    assert model.head.in_features == 12_800
    pixels = torch.rand(4, 3, 64, 64)
    x = torch.relu(model.features[0](pixels * 2 - 1))
    x = nn.functional.max_pool2d(x, 3)
    torch.testing.assert_close(model(pixels), model.head(x.flatten(1)), rtol=1e-5, atol=1e-6)


def test_normalize() -> None:
    assert normalize(torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2)).flatten().tolist() == [-1, 1]
    assert normalize(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)).flatten().tolist() == [-1, 1]
