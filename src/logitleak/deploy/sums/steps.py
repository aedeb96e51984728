"""What travels for a sum besides the scheme's own messages: the names of the steps, and bytes as tensors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logitleak.federation.answers import Shape

KEYS = "sum_keys"
"""Each client draws a key pair and says the public key."""

ROSTER = "sum_roster"
"""Each client is told the public keys of all, once."""

UNMASK = "sum_unmask"
"""Behind masks: each client that is in a sum takes back what does not cancel in it."""

DEAL, TAKE = "sum_deal", "sum_take"
"""Behind encryption: one client makes the key of all and locks it for each other, and these take it."""

OPEN = "sum_open"
"""Behind encryption: clients decrypt a sum."""

STEPS = (KEYS, ROSTER, UNMASK, DEAL, TAKE, OPEN)

FAULT = "fault"
"""In place of an upload: why a client sends none, as the server would have said had it seen it."""

SEALED = "sealed"
"""What is sent in place of an upload."""

CLOSED = "closed"
"""Where a message to clients holds a sum in place of a mean that the server does not have: the name of that mean."""


def to_tensor(raw: bytes | NDArray[np.uint8]) -> Tensor:
    """Bytes as a tensor, uint8 of their shape."""
    values = np.frombuffer(raw, np.uint8) if isinstance(raw, bytes) else raw
    return torch.from_numpy(values.copy())


def to_bytes(tensor: Tensor) -> bytes:
    """The bytes in a tensor uint8."""
    return to_array(tensor).tobytes()


def to_array(tensor: Tensor) -> NDArray[np.uint8]:
    """A tensor uint8 as an array."""
    found: NDArray[np.uint8] = tensor.to(torch.uint8).contiguous().numpy()
    return found


def of_bytes(*sizes: int) -> Shape:
    """The form of so many bytes."""
    return Shape(torch.uint8, sizes)


PUBLIC_KEY = of_bytes(32)


def majority(clients: int) -> int:
    """How many of K clients a sum is of, at least: no two sums of so many have nobody in common."""
    return max(2, clients // 2 + 1)
