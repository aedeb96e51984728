"""JSON and safetensors in files that are whole or not there (see `logitleak.files.atomic`). Nothing is unpickled."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from logitleak.errors import UserError
from logitleak.files.atomic import write_atomic
from logitleak.text import printable

_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "C64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
"""Bytes of a number, by its name in the safetensors format."""

NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
"""What the format calls the types that are written."""


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""

    def write(target: Path) -> None:
        target.write_text(text, encoding="utf-8")

    write_atomic(path, write)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys, so that equal values are equal files. NaN is refused."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        UserError: the file is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except (ValueError, RecursionError) as error:  # a number of too many digits is a plain ValueError
        raise UserError(f"{path} is not valid JSON ({error}).") from None


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file, whole or not at all, one tensor after the other.

    The library would copy all tensors before it writes the first, and those of a round are gigabytes. The
    format is simple: the length of a header, the header as JSON, and the numbers.

    Raises:
        OSError: it cannot be written, for example because the disk is full.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # numbers begin at a multiple of eight bytes

    def save(target: Path) -> None:
        try:
            with target.open("wb") as file:
                file.write(len(text).to_bytes(8, "little") + text)
                for tensor in tensors.values():
                    flat = tensor.detach().cpu().contiguous().flatten()
                    file.write(flat.view(torch.uint8).numpy().data)
        except OSError as error:  # a failed write does not say where
            raise OSError(error.errno, error.strerror, str(path)) from None

    write_atomic(path, save)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file.

    Raises:
        UserError: the file is missing, truncated or of another format.
    """
    _require_file(path)
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{path} is damaged or no safetensors file ({error}).") from None


def _require_file(path: Path) -> None:
    """Raise a `UserError` where there is no plain file: reading a pipe would wait for ever."""
    if not path.exists():
        raise UserError(f"{path} does not exist.")
    if not path.is_file():
        raise UserError(f"{path} is damaged or no safetensors file (it is no file at all).")


class TensorFile:
    """A safetensors file of which single tensors are read when they are needed.

    Raises:
        UserError: the file is missing, truncated or of another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _require_file(path)
        try:
            self._file = safetensors.safe_open(path, framework="pt")
            self._names = frozenset(self._file.keys())  # kept: a stranger's file may hold a million
        except FileNotFoundError:
            raise UserError(f"{path} does not exist.") from None
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise UserError(f"{path} is damaged or no safetensors file ({error}).") from None

    def names(self) -> frozenset[str]:
        """The names of the tensors in the file."""
        return self._names

    def metadata(self) -> dict[str, str]:
        """The texts that were written beside the tensors."""
        return dict(self._file.metadata() or {})

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor, without reading it."""
        self._require(name)
        return tuple(self._file.get_slice(name).get_shape())

    def dtype(self, name: str) -> str:
        """The type of one tensor as the format calls it, such as "F32", without reading it."""
        self._require(name)
        return str(self._file.get_slice(name).get_dtype())

    def nbytes(self, name: str) -> int:
        """Size of one tensor in bytes, without reading it."""
        size = _BYTES.get(self.dtype(name), 1)  # other types are of 8 bits or less
        return math.prod(self.shape(name)) * size

    def read(self, name: str) -> Tensor:
        """Read one tensor.

        Raises:
            UserError: there is none of this name, or it is of a type that torch has not.
        """
        self._require(name)
        try:
            tensor: Tensor = self._file.get_tensor(name)
        except (safetensors.SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f'{self.path}: "{name}" cannot be read ({error}).') from None
        return tensor

    def _require(self, name: str) -> None:
        if name not in self._names:
            raise UserError(f'{self.path} holds no tensor called "{printable(name, 200)}".')
