"""How much memory this process held at most, and whether an error says that there was too little."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """Peak resident memory in bytes. On Linux it is read from the kernel's own page, because what `getrusage` says of
    a process that another one started begins with that one's peak."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


_CPU, _CUDA = "DefaultCPUAllocator: ", "CUDA error: out of memory"
"""How torch begins what it says where a tensor finds no place, and what it says where a full GPU cannot even be opened.
Neither has a type of its own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory has run out, of the machine or of a GPU: not any error that speaks of memory."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")  # who has not imported it has no error of its own
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and (_CPU in said or _CUDA in said)
