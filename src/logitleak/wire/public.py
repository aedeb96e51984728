"""What a transcript says to everybody: the manifest, and the public set with the targets among its labels."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import ValidationError

from logitleak.errors import UserError
from logitleak.files.storage import read_json, read_tensors
from logitleak.text import printable
from logitleak.types import Knowledge, PublicData
from logitleak.wire.checks import describe
from logitleak.wire.writer import FORMAT, Manifest

_MANIFEST_BYTES = 64 * 2**20


def read_manifest(path: Path) -> Manifest:
    """The public facts of a federation, from ``wire/manifest.json``.

    Raises:
        UserError: the file is missing, damaged, or no manifest.
    """
    if not path.resolve().is_relative_to(path.parent.resolve()):  # an error may quote what it points to
        raise UserError(f"{path} is a link out of the folder; put the file itself there.")
    if path.stat().st_size > _MANIFEST_BYTES:
        raise UserError(f"{path} is larger than any manifest; the transcript is damaged.")
    try:
        return Manifest.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = printable(".".join(map(str, first["loc"]))) or "the whole file"
        raise UserError(f"{path} is no manifest of format {FORMAT}: {where}: {first['msg']}.") from None


def read_knowledge(folder: Path, manifest: Manifest) -> Knowledge:
    """What the server knows of the federation besides what travels: public set, targets and classes.

    Args:
        folder: ``wire/``.
        manifest: what `read_manifest` found in it.

    Raises:
        UserError: a tensor is missing or has a wrong type or shape, a label is none of the classes, or nobody is a
            target.
    """
    path = folder / "public.safetensors"
    tensors = read_tensors(path)
    for name in ("images", "sensitive"):
        if name not in tensors:
            raise UserError(f'{path} holds no tensor called "{name}".')
    images, labels = tensors["images"], tensors.get("labels")
    if images.dim() != 4 or images.shape[1] != 3 or images.dtype != torch.uint8 or len(images) == 0:
        raise UserError(f"{path}: images must be uint8 [N, 3, H, W] with N > 0, not {describe(images)}.")
    if tensors["sensitive"].shape != (len(images),):
        raise UserError(f"{path}: sensitive must be [N] like images, not {describe(tensors['sensitive'])}.")
    sensitive = tensors["sensitive"].to(torch.bool)
    if labels is not None and (labels.shape != (len(images),) or labels.dtype != torch.int64):
        raise UserError(f"{path}: labels must be int64 [N] like images, not {describe(labels)}.")
    classes = manifest.num_classes
    listed = sorted(set(manifest.target_labels))
    if not listed:
        raise UserError(f"{folder}/manifest.json names no target label; there is nothing to attack.")
    spans = {"target labels": (listed[0], listed[-1])}
    if labels is not None:
        spans["labels"] = int(labels.min()), int(labels.max())
    for what, (low, high) in spans.items():
        if low < 0 or high >= classes:
            raise UserError(f"{folder}: {what} must be in 0..{classes - 1}.")
    targets = torch.tensor(listed, dtype=torch.int64)
    return Knowledge(PublicData(images, labels, sensitive), targets, classes)
