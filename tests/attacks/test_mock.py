"""Mock targets: what a held-out public person looks like to an attack."""

import pytest
import torch
from memory import MemoryView

from logitleak.attacks.base import create
from logitleak.attacks.mock import MockView, mock_labels
from logitleak.types import Knowledge, PublicData


def crowd() -> MemoryView:
    """20 people in all, 18 of them with sensitive images."""
    return MemoryView(classes=20)


def test_who_plays_the_target() -> None:
    view = crowd()
    public = view.knowledge.public.labelled()
    labels = mock_labels(view, 0)
    assert len(labels) == 18 // 5
    assert labels.tolist() == sorted(labels.tolist())
    assert not set(labels.tolist()) & set(view.knowledge.target_labels.tolist())
    assert set(labels.tolist()) <= set(public.labels[public.sensitive].tolist())
    assert torch.equal(labels, mock_labels(view, 0))
    assert any(not torch.equal(labels, mock_labels(view, seed)) for seed in range(1, 6))


def test_nobody_can_without_labels_or_with_few_people() -> None:
    assert len(mock_labels(MemoryView(classes=7), 0)) == 0
    view = crowd()
    public = view.knowledge.public
    view.knowledge = Knowledge(
        PublicData(public.images, None, public.sensitive), view.knowledge.target_labels, 20
    )
    assert len(mock_labels(view, 0)) == 0


def test_people_without_insensitive_images_do_not_play() -> None:
    view = crowd()
    public = view.knowledge.public.labelled()
    keep = public.sensitive | (public.labels < 12)  # from label 12 on nobody has insensitive images
    view.knowledge = Knowledge(
        PublicData(public.images[keep], public.labels[keep], public.sensitive[keep]), torch.tensor([2, 5]), 20
    )
    assert all(int(mock_labels(view, seed).max()) < 12 for seed in range(5))


@pytest.mark.parametrize("rows", [None, torch.tensor([0, 5, 7, 20, 40, 75])])
def test_the_held_out_images_are_gone(rows: torch.Tensor | None) -> None:
    view = MemoryView(classes=20, rows=rows)
    labels = mock_labels(view, 0)
    mock = MockView(view, labels, [0, 1])
    public, seen = view.knowledge.public.labelled(), mock.knowledge.public.labelled()
    assert mock.clients == 2
    assert torch.equal(mock.knowledge.target_labels, labels)
    assert not bool(torch.isin(seen.labels[seen.sensitive], labels).any())
    assert bool(torch.isin(labels, seen.labels[~seen.sensitive]).all())
    hidden = public.sensitive & torch.isin(public.labels, labels)
    assert len(seen) == len(public) - int(hidden.sum())
    sent, values = mock.client_logits(1, 2)
    original_rows, original = view.client_logits(1, 2)
    kept = ~hidden[original_rows]
    assert torch.equal(values, original[kept])
    assert torch.equal(seen.images[sent], public.images[original_rows[kept]])
    assert torch.equal(mock.server_logits(1), view.server_logits(1)[~hidden])


def test_attacks_run_on_it() -> None:
    view = MockView(crowd(), mock_labels(crowd(), 0), [0])
    *_, (_, result) = create("ridge", {"gamma": 0.1}).replay(view)
    assert result.images.shape == (1, 3, 3, 16, 16)
