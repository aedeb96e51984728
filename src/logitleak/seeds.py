"""One root seed, and a generator of its own for every use. Nobody touches the global random state."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def derive_int(seed: int, *names: str | int) -> int:
    """A 63-bit integer that depends on the root seed and on every name, and on nothing else."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def derive(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator for one named use, for example ``derive(seed, "fedmd", client, round)``."""
    return torch.Generator().manual_seed(derive_int(seed, *names))


def derive_numpy(seed: int, *names: str | int) -> np.random.Generator:
    """The same for numpy."""
    return np.random.default_rng(derive_int(seed, *names))


def derive_bytes(seed: int, *names: str | int) -> bytes:
    """32 bytes for one named use, for example the secret of two clients of a simulation."""
    text = "\x1f".join(["bytes", str(seed), *map(str, names)])
    return hashlib.sha256(text.encode()).digest()
