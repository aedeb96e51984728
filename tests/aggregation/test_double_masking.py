"""Double masks: what is left of a sum when its clients have taken back what they tell, and what one of them shows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chi2

from logitleak.aggregation.double_masking import DoubleMask, own_mask
from logitleak.aggregation.masks import Words, reduce
from logitleak.seeds import derive_bytes

CLIENTS, COUNT = 5, 300


def masks(width: int) -> list[DoubleMask]:
    def pairs(client: int) -> dict[int, bytes]:
        others = (k for k in range(CLIENTS) if k != client)
        return {k: derive_bytes(0, "pair", min(client, k), max(client, k)) for k in others}

    return [DoubleMask(k, pairs(k), derive_bytes(0, "own", k), width) for k in range(CLIENTS)]


def words(client: int, width: int) -> Words:
    return reduce(np.random.default_rng(client).integers(2**63, size=COUNT).astype(np.uint64), width)


@pytest.mark.parametrize("width", [2, 3, 4, 5, 6])
def test_what_is_taken_back_leaves_the_sum_of_any_set(width: int) -> None:
    all_masks = masks(width)
    sent = [mask.over(words(k, width), 3) for k, mask in enumerate(all_masks)]
    for size in range(1, CLIENTS + 1):
        for here in combinations(range(CLIENTS), size):
            total = np.zeros(COUNT, np.uint64)
            for k in here:
                total = total + sent[k] - all_masks[k].rest(here, 3, COUNT)
            expected = np.sum([words(k, width) for k in here], axis=0, dtype=np.uint64)
            assert np.array_equal(reduce(total, width), reduce(expected, width))


def test_where_all_are_here_the_own_mask_is_all_that_is_taken_back() -> None:
    mask = masks(4)[2]
    assert np.array_equal(mask.rest(range(CLIENTS), 7, COUNT), own_mask(mask.seed(7), COUNT, 4))
    assert mask.seed(7) != mask.seed(8)


def test_what_is_sent_looks_uniform_and_says_nothing_of_what_it_holds() -> None:
    """Zeros and the largest words alike: every byte is uniform by a chi-squared test."""
    for content in (np.zeros(40_000, np.uint64), np.full(40_000, 2**32 - 1, np.uint64)):
        sent = masks(4)[1].over(content, 1)
        counts = np.bincount(sent.astype("<u4").view(np.uint8), minlength=256)
        statistic = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
        assert chi2.sf(statistic, 255) > 1e-4


def test_an_upload_that_comes_late_stays_hidden() -> None:
    """Whatever the others took back for a sum without it: what is left of it is behind its own mask."""
    all_masks, here, late = masks(4), [0, 1, 2], 3
    content = words(late, 4)
    sent = all_masks[late].over(content, 1)
    told = [all_masks[k].rest(here, 1, COUNT) for k in here]
    known = reduce(sent + np.sum(told, axis=0, dtype=np.uint64), 4)
    assert not np.isin(known, content).any()
    others = sum(own_mask(all_masks[k].seed(1), COUNT, 4) for k in here)  # and even with theirs
    assert not np.array_equal(reduce(known - others, 4), content)
