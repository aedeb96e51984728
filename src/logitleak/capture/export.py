"""The other way: a transcript as a capture of .npz files, for other tools and other people."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from logitleak.errors import UserError
from logitleak.storage import write_text
from logitleak.transcript import Transcript
from logitleak.types import MODEL_KINDS


def export(view: Transcript, out: Path, title: str, synthetic: bool | None = None) -> None:
    """Write a capture that imports to the same transcript. What is sealed stays where it is.

    Args:
        view: the transcript.
        out: the capture's folder; it must not exist.
        title: how the capture calls its data.
        synthetic: whether the people are made up; None where nobody said.

    Raises:
        UserError: the transcript has no outputs but weights, its images are no squares, or the folder is there.
    """
    height, width = view.knowledge.public.image_size
    if view.manifest.uploads.kind in MODEL_KINDS:
        raise UserError("This federation shares models and no outputs; a capture holds outputs.")
    if height != width or not 11 <= width <= 512:
        raise UserError(f"A capture holds square images of side 11 to 512, and these are {width}x{height}.")
    if out.exists():
        raise UserError(f"{out} is there; choose another --out.")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        _write_public(view, partial)
        for round in range(1, view.rounds + 1):
            _write_round(view, partial, round)
        text = yaml.safe_dump(_description(view, title, synthetic), sort_keys=False, allow_unicode=True)
        write_text(partial / "capture.yaml", text)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _description(view: Transcript, title: str, synthetic: bool | None) -> dict[str, Any]:
    known = view.knowledge
    described: dict[str, Any] = {
        "format": 1,
        "title": title,
        "scheme": view.manifest.scheme,
        "synthetic": synthetic,
        "classes": known.num_classes,
        "clients": view.clients,
        "rounds": view.rounds,
        "targets": known.target_labels.tolist(),
        "uploads": {
            "kind": view.manifest.uploads.kind,
            "files": "logits/round-{round}/client-{client}.npz",
            "values": "values",
        },
    }
    if view.manifest.server_logits:
        described["server"] = {"files": "logits/round-{round}/server.npz", "values": "values"}
    return described | {
        "public": {
            "images": "public",
            "table": "public.csv",
            "order": "table",
            "labelled": known.public.labels is not None,
        }
    }


def _write_public(view: Transcript, folder: Path) -> None:
    public = view.knowledge.public
    (folder / "public").mkdir()
    lines = ["file,label,domain" if public.labels is not None else "file,domain"]
    for row, (image, sensitive) in enumerate(zip(public.images, public.sensitive.tolist(), strict=True)):
        name = f"{row:06d}.png"
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / "public" / name)
        label = [] if public.labels is None else [str(int(public.labels[row]))]
        lines.append(",".join([name, *label, "sensitive" if sensitive else "insensitive"]))
    write_text(folder / "public.csv", "\n".join(lines) + "\n")


def _write_round(view: Transcript, folder: Path, round: int) -> None:
    home = folder / "logits" / f"round-{round}"
    home.mkdir(parents=True)
    for client in range(view.clients):
        rows, values = view.client_values(client, round)
        if len(rows):  # none of a client that was absent
            arrays = {"values": values.numpy()}
            if not torch.equal(rows, torch.arange(len(view.knowledge.public))):
                arrays["rows"] = rows.numpy()
            np.savez(home / f"client-{client}.npz", allow_pickle=False, **arrays)
    if view.manifest.server_logits:
        np.savez(home / "server.npz", values=view.server_logits(round).numpy())
