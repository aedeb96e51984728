"""The other way: a transcript as a capture of .npz files, for other tools and other people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from pydantic import ValidationError

from logitleak.capture.description import Description, problems
from logitleak.errors import UserError
from logitleak.files.atomic import atomic_folder, restore
from logitleak.files.storage import write_text
from logitleak.types import MODEL_KINDS
from logitleak.wire.transcript import Transcript


def export(view: Transcript, out: Path, title: str, synthetic: bool | None = None) -> None:
    """Write a capture that imports to the same transcript. What is sealed stays where it is.

    A capture holds neither rounds in which no client sent a row (FedGEMS asks for none when its server knows all of
    them) nor clients that never did: both are left out.

    Args:
        view: the transcript.
        out: the capture's folder; it must not exist.
        title: how the capture calls its data.
        synthetic: whether the people are made up; None where nobody said.

    Raises:
        UserError: the transcript has no outputs but weights, or none at all, its images are no squares, something
            else is in it that no capture can hold, or the folder is there.
    """
    height, width = view.knowledge.public.image_size
    if view.manifest.uploads.kind in MODEL_KINDS:
        raise UserError("This federation shares models and no outputs; a capture holds outputs.")
    if height != width or not 11 <= width <= 512:
        raise UserError(f"A capture holds square images of side 11 to 512, and these are {width}x{height}.")
    place = out.resolve()
    restore(place)
    if place.exists():
        raise UserError(f"{out} is there; choose another --out.")
    _described(view, title, synthetic, {1: [0]})  # most mistakes are found before gigabytes are written
    with atomic_folder(place) as folder:
        _write_public(view, folder)
        rounds = range(1, view.rounds + 1)
        sent = {round: _write_round(view, folder, round) for round in rounds}
        described = _described(view, title, synthetic, sent)
        text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
        write_text(folder / "capture.yaml", text)


def _described(
    view: Transcript, title: str, synthetic: bool | None, sent: dict[int, list[int]]
) -> dict[str, Any]:
    """The description of a capture with files of these clients in these rounds, checked as an import will."""
    rounds = [round for round, clients in sent.items() if clients]
    clients = sorted({client for present in sent.values() for client in present})
    if not rounds:
        raise UserError("No client sent a row in any round of this federation; there is nothing to export.")
    known = view.knowledge
    described: dict[str, Any] = {
        "format": 1,
        "title": title,
        "scheme": view.manifest.scheme,
        "synthetic": synthetic,
        "classes": known.num_classes,
        "clients": view.clients if len(clients) == view.clients else [str(client) for client in clients],
        "rounds": view.rounds if len(rounds) == view.rounds else rounds,
        "targets": known.target_labels.tolist(),
        "uploads": {
            "kind": view.manifest.uploads.kind,
            "files": "logits/round-{round}/client-{client}.npz",
            "values": "values",
        },
    }
    if view.manifest.server_logits:
        described["server"] = {"files": "logits/round-{round}/server.npz", "values": "values"}
    described["public"] = {
        "images": "public",
        "table": "public.csv",
        "order": "table",
        "labelled": known.public.labels is not None,
    }
    try:
        Description.model_validate(described)
    except ValidationError as error:
        raise UserError(f"This transcript cannot be a capture: {problems(error)[0]}") from None
    return described


def _write_public(view: Transcript, folder: Path) -> None:
    public = view.knowledge.public
    (folder / "public").mkdir(parents=True)
    lines = ["file,label,domain" if public.labels is not None else "file,domain"]
    for row, (image, sensitive) in enumerate(zip(public.images, public.sensitive.tolist(), strict=True)):
        name = f"{row:06d}.png"
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / "public" / name)
        label = [] if public.labels is None else [str(int(public.labels[row]))]
        lines.append(",".join([name, *label, "sensitive" if sensitive else "insensitive"]))
    write_text(folder / "public.csv", "\n".join(lines) + "\n")


def _write_round(view: Transcript, folder: Path, round: int) -> list[int]:
    """Write what was sent in a round, and return the clients that sent something. Without any there is no file."""
    home = folder / "logits" / f"round-{round}"
    sent = []
    for client in range(view.clients):
        rows, values = view.client_values(client, round)
        if len(rows) == 0:  # absent, or asked for nothing
            continue
        arrays = {"values": values.numpy()}
        if not torch.equal(rows, torch.arange(len(view.knowledge.public))):
            arrays["rows"] = rows.numpy()
        home.mkdir(parents=True, exist_ok=True)
        np.savez(home / f"client-{client}.npz", allow_pickle=False, **arrays)
        sent.append(client)
    if sent and view.manifest.server_logits:
        np.savez(home / "server.npz", values=view.server_logits(round).numpy())
    return sent
