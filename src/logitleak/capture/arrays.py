"""Outputs and row ids out of .npz, .npy and .safetensors files. What a file claims is checked before it is read, so
that no file makes more memory than its rows and classes may need."""

from __future__ import annotations

import ast
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from logitleak.errors import UserError
from logitleak.files.given import Array
from logitleak.files.storage import TensorFile

_DTYPE = re.compile(r"[<>|=]?([fiu])([1248])")
_HEADER = 4096  # bytes of a .npy header; numpy writes 118
_MEMBERS = 64  # tensors in a file
_DIRECTORY = 2**16  # bytes of a zip file's list of members
_EXPANSION, _UNSUSPICIOUS = 200, 2**26  # a large member that shrank so much holds no outputs of a model
_TENSOR_HEADER = 2**20
_FLOATS, _INTS = ("F16", "BF16", "F32", "F64"), ("I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64")


@dataclass(frozen=True)
class Wanted:
    """What a file of outputs should hold.

    Attributes:
        classes: J, the columns.
        public: N, the most rows there can be.
        values, rows: what the tensors are called, see `description.Outputs`; rows are None where all N are needed.
    """

    classes: int
    public: int
    values: str | None
    rows: str | None

    def check_shape(self, shape: tuple[int, ...], row_ids: bool) -> None:
        """Raise a `UserError` unless outputs of this shape fit."""
        n, j = self.public, self.classes
        if len(shape) != 2:
            raise UserError(f"has shape {_short(shape)}; outputs are [rows, classes], here [{n}, {j}].")
        if shape[1] != j:
            hint = " It looks transposed." if shape == (j, n) else ""
            raise UserError(f"has {shape[1]} columns, and the capture has {j} classes.{hint}")
        if shape[0] == 0:
            raise UserError("has no rows; a client that was absent in a round has no file there.")
        if shape[0] > n:
            raise UserError(f"has {shape[0]} rows, and there are {n} public images.")
        if shape[0] != n and not row_ids:
            hint = f'; add a tensor "{self.rows}" that names its rows' if self.rows else ""
            raise UserError(f"has {shape[0]} rows, and there are {n} public images{hint}.")


@dataclass(frozen=True)
class Held:
    """Where a file holds a tensor: its shape, "f", "i" or "u", and the bytes of a number."""

    shape: tuple[int, ...]
    kind: str
    itemsize: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.itemsize


@dataclass(frozen=True)
class _NpyHeader(Held):
    dtype: str
    fortran: bool
    length: int  # bytes of the header itself


def choose(held: Mapping[str, Held], wanted: Wanted) -> tuple[str, str | None]:
    """Which tensors of a file are the outputs and the row ids, by name; their shapes and types are right.

    Raises:
        UserError: there is none of that name, or more than one could be meant, or a shape or type does not fit.
    """
    rows = wanted.rows if wanted.rows in held else None
    others = sorted(set(held) - {wanted.rows})
    name = wanted.values if wanted.values is not None else others[0] if len(others) == 1 else None
    if name is None:
        raise UserError(
            f"holds the tensors {_short(others)}; say which one has the outputs, as values of uploads or of server."
        )
    if name not in held:
        raise UserError(f"holds no tensor called {_short(name)}.")
    if held[name].kind != "f" or held[name].itemsize == 1:
        raise UserError(
            f"holds outputs that are not of 16, 32 or 64 bit floating-point numbers ({_short(name)})."
        )
    wanted.check_shape(held[name].shape, rows is not None)
    if rows is not None:
        count = held[name].shape[0]
        if held[rows].kind not in "iu" or held[rows].shape != (count,):
            raise UserError(
                f"names its rows by {_short(held[rows].shape)}; {count} whole numbers are needed."
            )
    return name, rows


def read_npy(path: Path, wanted: Wanted) -> tuple[Array, Array | None]:
    """The outputs of a .npy file, which has no place for row ids: None.

    Raises:
        UserError: the file is damaged, holds anything but plain numbers, or has another shape than wanted.
    """
    with path.open("rb") as file:
        header = _npy_header(file)
        choose({"array": header}, Wanted(wanted.classes, wanted.public, "array", None))
        if path.stat().st_size != header.length + header.nbytes:
            raise UserError("is not as long as its header says; it is damaged or cut off.")
        return _npy_data(file, header), None


def read_npz(path: Path, wanted: Wanted) -> tuple[Array, Array | None]:
    """The outputs and row ids of a .npz file. Sizes that the zip directory claims must be those of the headers.

    Raises:
        UserError: as `read_npy`, or the file holds many tensors, or grows like a zip bomb.
    """
    _check_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            headers = {name: _member_header(archive, info) for name, info in members.items()}
            name, rows = choose(headers, wanted)
            read = {n: _read_member(archive, members[n], headers[n]) for n in (name, rows) if n is not None}
            return read[name], read[rows] if rows is not None else None
    except UserError:
        raise
    except (
        zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, RuntimeError, KeyError,
        OverflowError, IndexError, ValueError, OSError,
    ) as error:  # fmt: skip
        raise UserError(f"is damaged or no .npz file ({error}).") from None


def read_safetensors(path: Path, wanted: Wanted) -> tuple[Array, Array | None]:
    """The outputs and row ids of a .safetensors file; the library checks its header against its size.

    Raises:
        UserError: as `read_npy`.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if len(start) < 8 or int.from_bytes(start, "little") > _TENSOR_HEADER:
        raise UserError("is damaged or no safetensors file (the length of its header).")
    file_ = TensorFile(path)
    kinds = dict.fromkeys(_FLOATS, ("f", 4)) | dict.fromkeys(_INTS, ("i", 8))
    held = {n: Held(file_.shape(n), *kinds.get(file_.dtype(n), ("other", 1))) for n in file_.names()}
    name, rows = choose(held, wanted)
    values = file_.read(name).to(torch.float64 if file_.dtype(name) == "F64" else torch.float32).numpy()
    return values, file_.read(rows).to(torch.int64).numpy() if rows is not None else None


def _check_directory(path: Path) -> None:
    """Raise a `UserError` unless the zip file ends with a plain, short directory: it is read as a whole."""
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(0, size - 42))
        tail = file.read(42)
    end = tail[-22:]
    if len(tail) < 42 or end[:4] != b"PK\5\6" or tail[:4] == b"PK\6\7":
        raise UserError(
            "is damaged, no .npz file, or one of more than 4 GiB, for which there is safetensors."
        )
    entries, length = struct.unpack("<HL", end[10:16])
    if entries > _MEMBERS or length > _DIRECTORY:
        raise UserError(f"holds more than {_MEMBERS} tensors; a file of outputs has one or two.")


def _member_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _NpyHeader:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        raise UserError(
            f"has a member {_short(info.filename)} that is encrypted, or packed in a way numpy has not."
        )
    with archive.open(info) as member:
        header = _npy_header(member)
    if info.file_size != header.length + header.nbytes:
        raise UserError(f"has a member {_short(info.filename)} that is not as long as its header says.")
    if info.file_size > _UNSUSPICIOUS and info.file_size > _EXPANSION * info.compress_size:
        raise UserError(
            f"has a member {_short(info.filename)} that is a zip bomb: it grows {_EXPANSION}-fold."
        )
    return header


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: _NpyHeader) -> Array:
    with archive.open(info) as member:
        member.read(header.length)
        return _npy_data(member, header)


def _npy_header(file: IO[bytes]) -> _NpyHeader:
    """Parse what numpy writes before the numbers. Its own parser would read a header of 4 GiB, and objects."""
    magic = file.read(8)
    if magic[:6] != b"\x93NUMPY" or magic[6:] not in (b"\1\0", b"\2\0"):
        raise UserError("is damaged or no .npy data of version 1 or 2.")
    prefix = 2 if magic[6] == 1 else 4
    length = int.from_bytes(file.read(prefix), "little")
    if length > _HEADER:
        raise UserError("is damaged: its .npy header is longer than any.")
    try:
        fields = ast.literal_eval(file.read(length).decode("latin-1").strip())
        descr, fortran, shape = fields["descr"], fields["fortran_order"], fields["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError, MemoryError, RecursionError):
        raise UserError("is damaged: its .npy header cannot be read.") from None
    match = _DTYPE.fullmatch(descr) if isinstance(descr, str) else None
    if match is None or (match[1] == "f" and match[2] == "1"):
        raise UserError(f"holds {_short(descr)}, and only plain numbers are read, never objects.")
    if not (isinstance(shape, tuple) and all(type(side) is int and 0 <= side < 2**40 for side in shape)):
        raise UserError(f"is damaged: {_short(shape)} is no shape.")
    kind, itemsize = match[1], int(match[2])
    return _NpyHeader(shape, kind, itemsize, descr, bool(fortran), 8 + prefix + length)


def _npy_data(file: IO[bytes], header: _NpyHeader) -> Array:
    content = file.read(header.nbytes)
    if len(content) != header.nbytes:
        raise UserError("is cut off.")
    flat = np.frombuffer(content, np.dtype(header.dtype))
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
