"""Every registered prior."""

import pytest
import torch

from logitleak import registry
from logitleak.errors import UserError
from logitleak.types import Knowledge, PublicData


def knowledge(labelled: bool = True, sensitive: bool = True) -> Knowledge:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, generator=generator)
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 0, 0, 1, 2, 3, 3]) if labelled else None
    return Knowledge(PublicData(images, labels, (torch.arange(12) < 6) & sensitive), torch.tensor([3]), 4)


@pytest.mark.parametrize("name", registry.names("prior"))
def test_contract(name: str) -> None:
    prior_class = registry.load("prior", name)
    prior = prior_class(prior_class.Settings(), 0)
    known = knowledge()
    images = prior.estimate(known, torch.tensor([3, 0]))
    assert images.shape == (2, 3, 16, 16)
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(images, prior_class(prior_class.Settings(), 0).estimate(known, torch.tensor([3, 0])))


def test_mean_prior_is_the_mean_of_d0() -> None:
    prior_class = registry.load("prior", "mean")
    known = knowledge(labelled=False)
    found = prior_class(prior_class.Settings(), 0).estimate(known, torch.tensor([3]))
    expected = known.public.images[:6].double().mean(0) / 255
    torch.testing.assert_close(found[0].double(), expected, rtol=0, atol=1e-7)


def test_mean_prior_needs_sensitive_images() -> None:
    prior_class = registry.load("prior", "mean")
    with pytest.raises(UserError, match="sensitive public images"):
        prior_class(prior_class.Settings(), 0).estimate(knowledge(sensitive=False), torch.tensor([3]))
