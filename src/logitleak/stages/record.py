"""Federations that ran elsewhere: a capture, or a transcript without a run, becomes a run that can be attacked."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from logitleak import registry
from logitleak.capture.description import Description, is_capture
from logitleak.capture.export import export
from logitleak.capture.findings import Findings
from logitleak.capture.images import PublicSet
from logitleak.capture.inspect import Content, inspect
from logitleak.capture.places import inside
from logitleak.config.recorded import Recorded, RecordedConfig
from logitleak.config.sections import DefenseConfig
from logitleak.errors import UserError
from logitleak.files import yaml_text
from logitleak.files.atomic import atomic_folder, restore
from logitleak.files.lock import alone
from logitleak.files.storage import read_json, write_text
from logitleak.progress import Progress, Quiet
from logitleak.sealed.files import write_game, write_truth
from logitleak.sealed.game import Game
from logitleak.sealed.game import recorded as recorded_game
from logitleak.sealed.truth import GroundTruth
from logitleak.stages.folder import RunFolder
from logitleak.stages.shields import on_record
from logitleak.text import noun_of, printable
from logitleak.types import Event, Payload
from logitleak.wire.transcript import Transcript
from logitleak.wire.writer import Defended, Manifest, TranscriptWriter, Uploads, round_folder


@dataclass(frozen=True)
class Imported:
    """What an import left: the run folder, and what was odd about its source."""

    path: Path
    findings: Findings


def import_recorded(
    source: Path | str,
    out: Path | str,
    *,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """Make a run of a capture (docs/capture.md), or of a bare ``wire/`` folder. The whole run appears, or nothing.

    Args:
        source: the capture, or the folder of a transcript.
        out: the run folder.
        seed: the root seed of the attacks.
        overwrite: replace a run in this folder.
        progress: where to report to; nothing is shown by default.

    Raises:
        UserError: the source has errors, or the folder is in use.
    """
    source, out, progress = Path(source), Path(out), progress or Quiet()
    place = out.resolve()  # "." has no name to put a partial folder under
    with alone(place):
        restore(place)
        _check_out(source, out, overwrite)
        with atomic_folder(place) as partial:
            if is_capture(source):
                findings = _from_capture(source, partial, seed, progress)
            else:
                findings = _from_transcript(source, partial, seed)
    return Imported(out, findings)


def export_run(path: Path | str, out: Path | str, title: str | None = None) -> None:
    """Write the transcript of a run, or a bare one, as a capture; see `logitleak.capture.export`.

    Args:
        path: the run folder, or its ``wire/`` folder.
        out: the capture's folder; it must not exist.
        title: how the capture calls its data; by default as the report does, or like the folder.

    Raises:
        UserError: there is no transcript, or it cannot be written as a capture.
    """
    path = Path(path)
    said = _said_of_data(path / "metrics.json")
    title = title or said.get("title") or printable(path.resolve().name)
    export(Transcript(path), Path(out), title, said.get("synthetic"), _noun(path))


def _said_of_data(metrics: Path) -> dict[str, Any]:
    """What the report of a run says of its data; nothing where there is no report, or a damaged one."""
    found = read_json(metrics) if metrics.is_file() else None
    data = found.get("data") if isinstance(found, dict) else None
    return data if isinstance(data, dict) else {}


def _noun(path: Path) -> str:
    """What a run calls that which a label stands for; "person" where there is no run, or a damaged one."""
    file = path / "config.yaml"
    try:
        config = yaml_text.parse(file.read_text(encoding="utf-8")) if file.is_file() else None
    except (UserError, ValueError, OSError):
        config = None
    return noun_of(config.get("noun") if isinstance(config, dict) else None)


def _check_out(source: Path, out: Path, overwrite: bool) -> None:
    if not source.is_dir():
        there = f"{source} is no folder" if source.exists() else f"There is no folder {source}"
        raise UserError(f"{there}; give the folder of a capture.")
    own, other = source.resolve(), out.resolve()
    if own == other or own.is_relative_to(other) or other.is_relative_to(own):
        raise UserError(f"{out} overlaps {source}, which is read; choose another --out.")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / "run.json").is_file():
        raise UserError(f"{out} is not empty and no run folder; choose another --out.")
    if not overwrite:
        raise UserError(f"{out} holds a run; choose another --out, or give --overwrite.")


def _from_capture(source: Path, out: Path, seed: int, progress: Progress) -> Findings:
    inspection = inspect(source)
    content, findings = inspection.content, inspection.findings
    if content is None:
        first = next(finding for finding in findings.kept if finding.level == "error")
        raise UserError(
            f"{source} cannot be imported ({findings.summary()}); {first.where}: {first.what} "
            f"`logitleak validate {source}` lists everything."
        )
    d = content.description
    progress.stage("import", len(content.present))
    writer = TranscriptWriter(out / "wire", _manifest(d), content.public.data)
    for round, present in content.present.items():
        absent = {k: "no file in the capture" for k in range(len(d.client_names)) if k not in present}
        received = {k: _upload(content, round, k) for k in present}
        writer.write(Event(round, "upload", Payload(), received, absent))
        if d.server is not None:
            writer.write_own(round, torch.from_numpy(content.own(round).values))
        writer.commit(round)
        progress.advance(f"round {round} of {len(content.present)}")
    if content.private is not None:
        write_truth(out / "sealed", _truth(d, content.public, *content.private))
        if (game := _game(d)) is not None:
            write_game(out / "sealed", game)
    _finish(out, d.title, d.synthetic, seed, d.noun)
    return findings


def _manifest(d: Description) -> Manifest:
    return Manifest(
        format=1,
        scheme=d.scheme,
        clients=len(d.client_names),
        rounds=len(d.round_numbers),
        num_classes=d.classes,
        target_labels=sorted(_numbers(d)),
        uploads=Uploads(action="upload", tensor=d.uploads.kind, kind=d.uploads.kind),
        server_logits=d.server is not None,
        defenses=_defended(d),
    )


def _defended(d: Description) -> list[Defended]:
    """The defenses that somebody has, as ``wire/`` has them; settings are written out where there is one called so."""
    found = []
    for defense in d.defenses:
        clients = d.clients_with(defense)
        if defense.name in registry.names("defense") and clients:
            entry = DefenseConfig(name=defense.name, settings=defense.settings, clients=clients)
            found += on_record([entry])
        elif clients:
            found.append(Defended(name=defense.name, settings=defense.settings, clients=clients))
    return found


def _numbers(d: Description, targets: Sequence[int | str] | None = None) -> list[int]:
    """The labels of targets, by default of all; that they have some was checked."""
    given = d.targets if targets is None else targets
    return [number for number in map(d.label_of, given) if number is not None]


def _upload(content: Content, round: int, client: int) -> Payload:
    outputs = content.upload(round, client)
    tensors: dict[str, Tensor] = {content.description.uploads.kind: torch.from_numpy(outputs.values)}
    if outputs.rows is not None:
        tensors["rows"] = torch.from_numpy(outputs.rows)
    return Payload(tensors)


def _truth(d: Description, public: PublicSet, images: Tensor, labels: Tensor) -> GroundTruth:
    """The sealed side, as far as it was given: nothing is held out, and −1 stands for what nobody said."""
    owner_of = _owners(d)
    known = public.labels if public.labels is not None else torch.full((len(public.data),), -1)
    return GroundTruth(
        images=images,
        labels=labels,
        owners=torch.tensor([owner_of.get(label, -1) for label in labels.tolist()]),
        held_images=images[:0],
        held_labels=labels[:0],
        public_labels=known,
        names=d.names if d.names is not None else [str(label) for label in range(d.classes)],
    )


def _owners(d: Description) -> dict[int, int]:
    """The client of each target, as far as the capture says."""
    owners = d.private.owners if d.private is not None and d.private.owners is not None else {}
    place = {name: k for k, name in enumerate(d.client_names)}
    return {number: place[str(k)] for t, k in owners.items() if (number := d.label_of(t)) is not None}


def _game(d: Description) -> Game | None:
    """Who was in and who was out, where the capture says."""
    game = d.private.game if d.private is not None else None
    if game is None:
        return None
    return recorded_game(_numbers(d, game.inside), _numbers(d, game.outside), _owners(d), share=game.share)


def _from_transcript(source: Path, out: Path, seed: int) -> Findings:
    """Copy the files of a transcript that a reader opens, and no others. Round 0 need not be there."""
    view = Transcript(source)
    (out / "wire").mkdir(parents=True)
    files = [view.folder / "manifest.json", view.folder / "public.safetensors"]
    for round in range(view.rounds + 1):
        files += sorted(_folder_of(view, round).glob("*.safetensors"))
    for file in files:
        name = file.relative_to(view.folder)
        (out / "wire" / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(inside(view.folder, name.as_posix()), out / "wire" / name)
    _finish(out, "a recorded transcript", None, seed)
    return Findings()


def _folder_of(view: Transcript, round: int) -> Path:
    """Where a round is; it is listed only if it is in the folder."""
    folder = round_folder(view.folder, round)
    inside(view.folder, folder.name)
    return folder


def _finish(out: Path, title: str, synthetic: bool | None, seed: int, noun: str = "person") -> None:
    """Write what makes a run of a transcript, and read the transcript once as attacks and reports will."""
    view = Transcript(out)
    for round in range(view.rounds + 1):
        view.absent(round)
    recorded = Recorded(title=title, synthetic=synthetic, digest=_digest(out / "wire"))
    config = RecordedConfig(seed=seed, recorded=recorded, noun=noun)
    write_text(out / "config.yaml", config.to_yaml())
    RunFolder(out).update(federation=config.federation_hash(), attacks={}, federated=True)


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.*")):
        if path.is_file():
            total.update(path.relative_to(folder).as_posix().encode() + b"\0")
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]
