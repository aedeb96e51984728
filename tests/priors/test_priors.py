"""Every registered prior."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_public import tiny_public, without

from logitleak import registry
from logitleak.errors import UserError
from logitleak.priors.base import Prior
from logitleak.types import Knowledge, PublicData

SMALL: dict[str, dict[str, Any]] = {
    "cyclegan": {"steps": 2, "filters": 4, "blocks": 1, "pool": 2},
    "deblurgan": {"steps": 2, "filters": 4, "batch": 2},
}
NAMES = registry.names("prior")


def create(name: str, seed: int = 0, **settings: Any) -> Prior:
    prior_class = registry.load("prior", name)
    values = SMALL.get(name, {}) | settings
    made: Prior = prior_class(registry.settings(f"prior {name}", prior_class.Settings, values), seed)
    return made


LABEL_PRIORS = [name for name in NAMES if create(name).needs_labels]


@pytest.mark.parametrize("name", NAMES)
class TestEveryPrior:
    def test_shape_and_range(self, name: str) -> None:
        images = create(name).estimate(tiny_public(), torch.tensor([7, 0, 7]))
        assert images.shape == (3, 3, 16, 16)
        assert images.dtype == torch.float32
        assert bool(((images >= 0) & (images <= 1)).all())
        assert torch.equal(images[0], images[2])

    def test_same_seed_same_images_whatever_was_asked_before(self, name: str) -> None:
        first, second = create(name, seed=3), create(name, seed=3)
        known = tiny_public()
        expected = first.estimate(known, torch.arange(8))
        second.estimate(known, torch.tensor([5]))
        assert torch.equal(second.estimate(known, torch.tensor([6, 5, 0])), expected[[6, 5, 0]])

    def test_rows_are_labels(self, name: str) -> None:
        known, prior = tiny_public(), create(name)
        rows = torch.tensor([1, 0, 29])
        assert known.public.labels is not None
        images, place = prior.estimate_rows(known, rows)
        assert torch.equal(images[place], prior.estimate(known, known.public.labels[rows]))
        assert len(images) == len(torch.unique(known.public.labels[rows]))

    def test_global_random_state_is_left_alone(self, name: str) -> None:
        torch.manual_seed(1)
        expected = torch.rand(1)
        torch.manual_seed(1)
        create(name).estimate(tiny_public(), torch.tensor([6]))
        assert torch.equal(torch.rand(1), expected)

    def test_no_sensitive_image(self, name: str) -> None:
        known = tiny_public()
        with pytest.raises(UserError, match=r"sensitive public images \(D_0\)"):
            create(name).estimate(without(known, known.public.sensitive), torch.tensor([6]))

    def test_who_the_targets_are_is_no_matter(self, name: str) -> None:
        known = tiny_public()
        other = Knowledge(known.public, torch.tensor([0, 7]), 8)
        labels = torch.tensor([0, 6])
        assert torch.equal(create(name).estimate(known, labels), create(name).estimate(other, labels))

    def test_another_public_set_is_another_estimate(self, name: str) -> None:
        prior = create(name)
        prior.estimate(tiny_public(), torch.tensor([6]))
        found = prior.estimate(tiny_public(seed=1), torch.tensor([6]))
        assert torch.equal(found, create(name).estimate(tiny_public(seed=1), torch.tensor([6])))

    def test_steps_are_as_planned(self, name: str, tmp_path: Path) -> None:
        known, prior, steps = tiny_public(), create(name), []
        prior.home = tmp_path
        prior.listener = lambda step, loss: steps.append(step)
        planned = prior.steps_planned(known)
        prior.prepare(known)
        assert steps == list(range(1, planned + 1))
        assert prior.learns or planned == 0


@pytest.mark.parametrize("name", LABEL_PRIORS)
class TestEveryLabelPrior:
    def test_unlabelled(self, name: str) -> None:
        with pytest.raises(UserError, match='needs labels.*"mean"'):
            create(name).estimate(tiny_public(labelled=False), torch.tensor([6]))

    def test_no_insensitive_image(self, name: str) -> None:
        known = tiny_public()
        with pytest.raises(UserError, match=r"insensitive public images \(D_a\)"):
            create(name).estimate(without(known, ~known.public.sensitive), torch.tensor([6]))

    def test_label_without_insensitive_image_gets_the_mean(self, name: str) -> None:
        known = tiny_public()
        assert known.public.labels is not None
        known = without(known, ~known.public.sensitive & (known.public.labels == 6))
        found = create(name).estimate(known, torch.tensor([6, 7]))
        assert torch.equal(found[:1], create("mean").estimate(known, torch.tensor([6])))
        assert not torch.equal(found[0], found[1])


def test_mean_prior_is_the_mean_of_d0() -> None:
    known = tiny_public(labelled=False)
    found = create("mean").estimate(known, torch.tensor([3]))
    expected = known.public.images[:12].double().mean(0) / 255
    torch.testing.assert_close(found[0].double(), expected, rtol=0, atol=1e-7)


def test_mean_prior_sums_in_chunks() -> None:
    images = torch.full((3000, 3, 2, 2), 255, dtype=torch.uint8)
    images[2500:] = 0
    known = Knowledge(PublicData(images, None, torch.ones(3000, dtype=torch.bool)), torch.tensor([0]), 1)
    assert torch.allclose(create("mean").estimate(known, torch.tensor([0])), torch.tensor(2500 / 3000))
