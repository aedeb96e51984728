"""Pairs and means of the two public domains, and how an estimate is made of them."""

import pytest
import torch
from test_priors import create
from tiny_public import tiny_public, without
from torch import Tensor, nn

from logitleak.errors import UserError
from logitleak.priors import translator
from logitleak.priors.domains import Pairs, Unpaired, label_means, shared_labels
from logitleak.seeds import derive


class Times(nn.Module):
    """A translator that is simple enough to write its results down."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def test_pairs_show_one_identity_each_in_its_domain() -> None:
    public = tiny_public().public.labelled()
    a, s = Pairs(public, 100).draw(600, derive(0, "pairs"))
    assert torch.equal(public.labels[a], public.labels[s])
    assert not bool(public.sensitive[a].any())
    assert bool(public.sensitive[s].all())
    assert sorted(torch.unique(public.labels[a]).tolist()) == [0, 1, 2, 3, 4, 5]  # never a target
    assert len({*zip(a.tolist(), s.tolist(), strict=True)}) == 6 * 3 * 2  # every photo with every other


def test_an_identity_with_many_pairs_does_not_rule() -> None:
    known = tiny_public()
    assert known.public.labels is not None
    drop = known.public.sensitive & (known.public.labels > 0) & (torch.arange(len(known.public)) % 12 < 6)
    public = without(known, drop).public.labelled()
    for most, share in ((100, 6 / 21), (3, 1 / 6)):
        a, _ = Pairs(public, most).draw(4000, derive(0, "pairs"))
        assert float((public.labels[a] == 0).float().mean()) == pytest.approx(share, abs=0.03)


def test_without_shared_identities_cyclegan_learns_all_the_same() -> None:
    known = tiny_public()
    assert known.public.labels is not None
    known = without(known, ~known.public.sensitive & (known.public.labels < 6))
    public = known.public.labelled()
    assert len(shared_labels(public)) == 0
    a, s = Unpaired(public).draw(50, derive(0, "pairs"))
    assert not bool(public.sensitive[a].any())
    assert bool(public.sensitive[s].all())
    create("cyclegan").estimate(known, torch.tensor([6]))
    with pytest.raises(UserError, match='images in both domains.*use the prior "cyclegan"'):
        create("deblurgan").estimate(known, torch.tensor([6]))


def test_label_means_are_means() -> None:
    public = tiny_public().public.labelled()
    found = label_means(public, "insensitive", torch.tensor([1, 7]))
    for image, label in zip(found, (1, 7), strict=True):
        rows = ~public.sensitive & (public.labels == label)
        torch.testing.assert_close(image, public.pixels(torch.nonzero(rows).flatten()).mean(0))


def test_an_estimate_is_the_mean_of_translations_clamped_one_by_one() -> None:
    known = tiny_public()
    public = known.public.labelled()
    prior = create("paired")
    prior.prepare(known)
    prior._translator = Times(3.0)  # type: ignore[attr-defined]
    rows = torch.nonzero(~public.sensitive & (public.labels == 6)).flatten()
    expected = ((public.pixels(rows) * 2 - 1) * 3).clamp(-1, 1).add(1).div(2).mean(0)
    torch.testing.assert_close(prior.estimate(known, torch.tensor([6]))[0], expected)


def test_every_label_is_translated_once_and_few_images_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    known = tiny_public()

    class Counting(Times):
        def forward(self, x: Tensor) -> Tensor:
            sizes.append(len(x))
            return x

    monkeypatch.setattr(translator, "CHUNK", 2)
    prior = create("paired")
    prior.prepare(known)
    prior._translator = Counting(1.0)  # type: ignore[attr-defined]
    prior.estimate(known, torch.tensor([6, 6, 0]))
    prior.estimate_rows(known, torch.arange(len(known.public)))
    assert sum(sizes) == 24  # three images of each of eight labels
    assert max(sizes) == 2
