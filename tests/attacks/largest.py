"""The largest tensor that some code makes, seen from below every operation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Largest(TorchDispatchMode):
    """Watches what operations return.

    Attributes:
        size: bytes of the largest tensor; views and what is written in place count as what they show.
        what: its operation, type and shape.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size, self.what = 0, ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for each in tree_leaves(out):
            # one value that is shown many times takes no room
            if isinstance(each, Tensor) and 0 not in each.stride():
                size = each.numel() * each.element_size()
                if size > self.size:
                    self.size, self.what = size, f"{func} {each.dtype} {list(each.shape)}"
        return out


def largest(work: Any) -> Largest:
    """Do some work and say what the largest tensor was."""
    with torch.no_grad(), Largest() as seen:
        work()
    return seen
