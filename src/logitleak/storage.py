"""Whole files or none: everything is written under a temporary name and renamed. Nothing is ever unpickled."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from logitleak.errors import UserError


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Have ``write`` fill a temporary file beside ``path``, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    write_whole(path, lambda target: target.write_text(text, encoding="utf-8") and None)


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
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}).") from None


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file, whole or not at all."""
    table = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, lambda target: safetensors.torch.save_file(table, target, dict(metadata or {})))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file.

    Raises:
        UserError: the file is missing, truncated or of another format.
    """
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged or no safetensors file ({error}).") from None


class TensorFile:
    """A safetensors file of which single tensors are read when they are needed.

    Raises:
        UserError: the file is missing, truncated or of another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = safetensors.safe_open(path, framework="pt")
        except FileNotFoundError:
            raise UserError(f"{path} does not exist.") from None
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise UserError(f"{path} is damaged or no safetensors file ({error}).") from None

    def names(self) -> set[str]:
        """The names of the tensors in the file."""
        return set(self._file.keys())

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor, without reading it."""
        self._require(name)
        return tuple(self._file.get_slice(name).get_shape())

    def read(self, name: str) -> Tensor:
        """Read one tensor."""
        self._require(name)
        tensor: Tensor = self._file.get_tensor(name)
        return tensor

    def _require(self, name: str) -> None:
        if name not in self.names():
            raise UserError(f'{self.path} holds no tensor called "{name}".')
