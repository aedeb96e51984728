"""Keeps freed memory with the process, so that a training step does not fault its buffers in again."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # the option numbers of glibc's malloc.h

_owned = False


def own_process() -> None:
    """Say that this process is Logitleak's own: the command line, a worker of a sweep, or an app that
    Flower started.

    From then on `keep_freed_memory` does something. A program that imports Logitleak is changed only if it calls this.
    """
    global _owned
    _owned = True


def keep_freed_memory() -> None:
    """Ask glibc's malloc to reuse large buffers instead of returning them to the kernel after every step.

    Activations of a batch are tens of megabytes; by default each is mapped, zeroed by the kernel and unmapped
    again in every step. This holds for the whole process and cannot be undone, so it does nothing unless the process is
    ours (`own_process`), nor where the C library is another.
    """
    if not _owned or not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_MAX, 0)  # a threshold would not do: glibc's largest is 32 MiB, and gradients are larger
    mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(_TOP_PAD, 64 << 20)
