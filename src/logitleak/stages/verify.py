"""What is wrong with a capture, or with the transcript of a run: everything, before anything is computed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from logitleak.capture.description import is_capture
from logitleak.capture.findings import Findings
from logitleak.capture.inspect import Content, inspect
from logitleak.capture.outputs import check_kind, oddities
from logitleak.errors import UserError
from logitleak.sealed.files import read_truth
from logitleak.stages.defended import Known, fits, last_of_each, marks
from logitleak.stages.folder import RunFolder
from logitleak.text import printable
from logitleak.types import MODEL_KINDS
from logitleak.wire.transcript import Transcript


@dataclass(frozen=True)
class Checked:
    """Lines that say what is there, and every finding."""

    facts: list[str]
    findings: Findings


def verify(path: Path) -> Checked:
    """Look at a capture, or at the transcript and the truth of a run, from end to end.

    Raises:
        UserError: the folder is neither.
    """
    if is_capture(path):
        inspection = inspect(path)
        return Checked(
            _facts_of_capture(inspection.content) if inspection.content else [], inspection.findings
        )
    if not any((path / name).exists() for name in ("wire", "manifest.json", "config.yaml")):
        raise UserError(
            f"{path} is neither a capture (there is no capture.yaml in it) nor the folder of a run."
        )
    findings = Findings()
    if (path / "config.yaml").exists():  # what every command reads of a run; a transcript alone has none
        with findings.at("run"):
            run = RunFolder(path)
            run.config()
            run.status()
    with findings.at("wire"):
        return Checked(_check_transcript(Transcript(path), path, findings), findings)
    return Checked([], findings)


def _facts_of_capture(content: Content) -> list[str]:
    d, public = content.description, content.public.data
    rows = "rows" if d.public.images is None else "images"
    uploads = sum(map(len, content.present.values()))
    title, scheme = printable(d.title, 200), printable(d.scheme, 200)
    return [
        f"capture     {title}: {len(public)} public {rows}, {int(public.sensitive.sum())} of them sensitive",
        f"federation  {scheme}, K = {len(d.client_names)} clients, T = {len(d.round_numbers)} rounds, "
        f"{uploads} files of {d.uploads.kind}",
        f"server      {'logits of its own' if d.server else 'none recorded'}",
        f"targets     {len(d.targets)} of {d.classes} classes, "
        + (f"{len(content.private[0])} private {rows} to score with" if content.private else "no truth to score with"),
    ]  # fmt: skip


def _check_transcript(view: Transcript, path: Path, findings: Findings) -> list[str]:
    """Read every value once. The facts of it."""
    public, summed = view.knowledge.public, view.manifest.aggregation
    defended = last_of_each(view) if summed is None else {}  # a mean has no defense's mark
    for round in range(view.rounds + 1):
        with findings.at(f"wire/round-{round:02d}"):
            view.absent(round)
    for round in range(1, view.rounds + 1):
        where = f"wire/round-{round:02d}"
        seen: dict[bytes, int] = {}  # digest of outputs to the first client that sent them
        for client in range(view.clients):
            with findings.at(where):
                _check_upload(view, client, round, where, seen, defended.get(client), findings)
        if view.manifest.server_logits:
            with findings.at(where):
                _note_oddities(view.server_logits(round).numpy(), f"{where}, server", findings)
    if (path / "sealed").is_dir():
        with findings.at("sealed"):
            truth = read_truth(path / "sealed")
            if truth.target_labels.tolist() != view.knowledge.target_labels.tolist():
                raise UserError("its targets are not those of the transcript; nothing can be scored.")
    return [
        f"transcript  {printable(view.manifest.scheme, 200)}, K = {view.parties} clients, T = {view.rounds} rounds of "
        f"{view.manifest.uploads.kind}",
        f"public      {len(public)} images, {int(public.sensitive.sum())} of them sensitive, "
        f"{'labelled' if public.labels is not None else 'unlabelled'}",
        f"targets     {len(view.knowledge.target_labels)} of {view.knowledge.num_classes} classes",
        *(
            [
                f"aggregation {printable(summed.kind, 100)}: the mean of the uploads is on record, and no single one"
            ]
            if summed is not None
            else []
        ),
        *(f"defense     {line}" for line in marks(view)),
    ]


def _check_upload(
    view: Transcript,
    client: int,
    round: int,
    where: str,
    seen: dict[bytes, int],
    defense: Known | None,
    findings: Findings,
) -> None:
    kind = view.manifest.uploads.kind
    if kind in MODEL_KINDS:
        view.client_gradients(client, round)
        return
    rows, found = view.client_values(client, round)
    if len(rows) == 0:
        return
    values = found.numpy()
    check_kind(values, "logits" if kind == "logits" else "probabilities")
    _note_oddities(values, f"{where}, {_sender(view, client)}", findings)
    if defense is not None and not fits(defense, found):
        findings.warn(
            where,
            f"client {client} was to use the defense {defense.name} last, and its upload does not look like it.",
        )
    digest = hashlib.sha256(np.ascontiguousarray(values).data).digest()
    first = seen.setdefault(digest, client)
    if first != client:
        findings.warn(where, f"clients {first} and {client} uploaded the same.")


def _sender(view: Transcript, client: int) -> str:
    return "the mean of all clients" if view.summed else f"client {client}"


def _note_oddities(values: np.ndarray, where: str, findings: Findings) -> None:
    for message in oddities(values):
        findings.warn(where, message)
