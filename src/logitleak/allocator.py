"""Keeps freed memory with the process, so that a training step does not fault its buffers in again."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # the option numbers of glibc's malloc.h


def keep_freed_memory() -> None:
    """Ask glibc's malloc to reuse large buffers instead of returning them to the kernel after every step.

    Activations of a batch are tens of megabytes; by default each is mapped, zeroed by the kernel and unmapped
    again in every step. Does nothing where the C library is another.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_MAX, 0)  # a threshold would not do: glibc's largest is 32 MiB, and gradients are larger
    mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(_TOP_PAD, 64 << 20)
