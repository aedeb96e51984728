"""Free nulls: what their intervals count, and whose uploads a control leaves out."""

from __future__ import annotations

import torch

from logitleak.metrics.attack import References
from logitleak.metrics.proportion import wilson
from logitleak.stages.nulls import _entry


def test_one_target_at_many_clients_is_one_target() -> None:
    """Nine clients do not hold it, and what they say of it is alike."""
    targets, others = 4, 9
    private = torch.rand(targets, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    known = References(
        torch.arange(targets), private, torch.empty(0, dtype=torch.int64), private[:0], torch.arange(targets),
        [str(j) for j in range(targets)],
    )  # fmt: skip
    of = torch.arange(targets).repeat(others)
    images = private[torch.where(of == 0, 0, (of + 1) % targets)]  # only the first comes back
    found = _entry("non-owners", 1, images, of, known, "")["accuracy"]
    assert (found["successes"], found["trials"]) == (others, others * targets)
    assert (found["low"], found["high"]) == wilson(1, targets)
