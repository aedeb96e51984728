"""The other way: a transcript as a capture of .npz files, for other tools and other people."""

from __future__ import annotations

from pathlib import Path

import torch

from logitleak.capture.writer import CaptureWriter
from logitleak.errors import UserError
from logitleak.files.atomic import atomic_folder, restore
from logitleak.types import MODEL_KINDS
from logitleak.wire.transcript import Transcript


def export(
    view: Transcript, out: Path, title: str, synthetic: bool | None = None, noun: str = "person"
) -> None:
    """Write a capture that imports to the same transcript. What is sealed stays where it is.

    A capture holds neither rounds in which no client sent a row (FedGEMS asks for none when its server knows all of
    them) nor clients that never did: both are left out.

    Args:
        view: the transcript.
        out: the capture's folder; it must not exist.
        title: how the capture calls its data.
        synthetic: whether the people are made up; None where nobody said.
        noun: what one label stands for.

    Raises:
        UserError: the transcript has no outputs but weights, or none at all, its images are no squares, something
            else is in it that no capture can hold, means of uploads for example, or the folder is there.
    """
    known, public, uploads = view.knowledge, view.knowledge.public, view.manifest.uploads
    height, width = public.image_size
    if view.summed:
        raise UserError(
            "This transcript holds means of uploads, and a capture those of single clients; hand on its wire/ folder, "
            "which `logitleak import` takes."
        )
    if uploads.kind in MODEL_KINDS:
        raise UserError("This federation shares models and no outputs; a capture holds outputs.")
    if width > 0 and (height != width or not 11 <= width <= 512):
        raise UserError(f"A capture holds square images of side 11 to 512, and these are {width}x{height}.")
    place = out.resolve()
    restore(place)
    if place.exists():
        raise UserError(f"{out} is there; choose another --out.")
    with atomic_folder(place) as folder:
        record = CaptureWriter(
            folder,
            known.num_classes,
            len(public) if width == 0 else public.images,
            labels=public.labels,
            sensitive=public.sensitive,
            targets=known.target_labels.tolist(),
            kind="probabilities" if uploads.kind == "probabilities" else "logits",
            title=title,
            scheme=view.manifest.scheme,
            synthetic=synthetic,
            noun=noun,
            defenses=[
                entry.model_dump(mode="json", include={"name", "settings", "clients"})
                for entry in view.manifest.defenses
            ],
        )
        for round in range(1, view.rounds + 1):
            _record(view, round, record)
        record.close()
        if not record.whole:
            raise UserError(
                "No client sent a row in any round of this federation; there is nothing to export."
            )


def _record(view: Transcript, round: int, record: CaptureWriter) -> None:
    """Record what was sent in a round; nothing where no client sent a row."""
    everything = torch.arange(len(view.knowledge.public))
    answered = False
    for client in range(view.clients):
        rows, values = view.client_values(client, round)
        if len(rows) > 0:  # neither absent, nor asked for nothing
            record.upload(round, client, values, None if torch.equal(rows, everything) else rows)
            answered = True
    if answered and view.manifest.server_logits:
        record.server(round, view.server_logits(round))
