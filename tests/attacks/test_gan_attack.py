"""Reading what a participant holds: means of its images, and nothing where it holds none."""

from __future__ import annotations

import pytest
import torch
from memory import MemoryView
from torch import Tensor

from logitleak.attacks.base import create
from logitleak.errors import UserError


def test_the_mean_of_its_images_of_each_target() -> None:
    view = MemoryView()
    for round, result in create("gan-attack").replay(view):
        expected = view.generated(round)[1][[2, 5]].mean(1)
        assert all(torch.equal(images, expected) for images in result.images)
        assert result.chosen.tolist() == [0, 0]


class Late(MemoryView):
    """Nothing is made in round 1, and of one target nothing at all."""

    def generated(self, round: int) -> tuple[Tensor, Tensor]:
        labels, images = super().generated(round)
        kept = torch.tensor([] if round == 1 else [0, 2], dtype=torch.int64)
        return labels[kept], images[kept]


def test_before_it_has_made_any_the_mean_image_stands_there() -> None:
    view = Late()
    public = view.knowledge.public
    mean = public.pixels(public.rows("sensitive")).mean(0)
    for _, result in create("gan-attack").replay(view):
        torch.testing.assert_close(result.images[0, 1], mean)
        assert result.images.isfinite().all()


def test_a_federation_without_such_a_participant() -> None:
    view = MemoryView()
    view.provides = view.provides - {"generated"}  # type: ignore[misc]
    with pytest.raises(UserError, match="images that a participant has made .the scheme fedavg-gan."):
        create("gan-attack").check(view)
