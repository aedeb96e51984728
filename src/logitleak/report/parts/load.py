"""Read a run folder into memory, and note in plain words what it lacks.

Only metrics.json is required. Everything else may be missing: a run without its sealed folder still has
reconstructions to show, and a run without reconstructions still has numbers. What `logitleak.formats`
declares must be as it says where it is there; images that are damaged are left out.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logitleak.errors import UserError
from logitleak.formats import AttackFile, Metrics, TimingsFile
from logitleak.formats.parts import FORMAT, Record
from logitleak.formats.reading import parse_json, read_file, read_object
from logitleak.report.parts.images import Sides, chosen_images, gallery, reconstructions, sides
from logitleak.text import printable

if TYPE_CHECKING:
    from logitleak.report.parts.images import Images

SCHEMES = {
    "fedmd": "FedMD",
    "fedgems": "FedGEMS",
    "dsfl": "DS-FL",
    "ds-fl": "DS-FL",
    "cronus": "Cronus",
    "feddf": "FedDF",
    "fedkd": "FedKD",
}
"""Schemes as papers spell them."""

KINDS = ("attack", "baseline", "rival")
_SHARED = {"probabilities": "class probabilities", "weights": "weights", "gradients": "gradients"}
"""What clients share, in the words of the page; anything else is logits."""


class ReportError(UserError):
    """The run folder cannot be reported on; the message is one line."""


@dataclass(frozen=True)
class Attack:
    """One row of the report: the numbers of an attack and the images it left behind."""

    name: str
    numbers: dict[str, Any]
    images: Images | None = None
    rounds: dict[int, Images] = field(default_factory=dict)
    sides: Sides | None = None

    @property
    def kind(self) -> str:
        """`attack`, `baseline` or `rival`; an unknown kind counts as an attack."""
        kind = self.numbers.get("kind")
        return kind if kind in KINDS else "attack"

    @property
    def per_target(self) -> list[dict[str, Any]]:
        """The judged targets in label order; empty where nothing could be judged."""
        return rows(self.numbers, "per_target")


@dataclass(frozen=True)
class Run:
    """All that the report reads, in memory."""

    folder: Path
    metrics: dict[str, Any]
    timings: dict[str, Any]
    attacks: list[Attack]
    truth: Images | None
    public: Images | None
    labels: list[int]
    notes: list[str]
    shared: str = "logits"
    own_model: bool = True
    defenses: list[str] = field(default_factory=list)

    @property
    def data(self) -> dict[str, Any]:
        """What the federation was trained on."""
        return table(self.metrics, "data")

    @property
    def audited(self) -> list[Attack]:
        """The attacks and baselines: everything that is not a trivial rival."""
        return [attack for attack in self.attacks if attack.kind != "rival"]

    @property
    def rivals(self) -> list[Attack]:
        """The guesses that need no logits."""
        return [attack for attack in self.attacks if attack.kind == "rival"]


def table(parent: dict[str, Any], key: str) -> dict[str, Any]:
    """The object under `key`; empty where it is missing or null."""
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def rows(parent: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects under `key`; empty where it is missing or null."""
    value = parent.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def load(folder: Path) -> Run:
    """Read the run in `folder`; raise ReportError if its numbers, or what an attack says of itself, are missing or
    not what they are declared to be."""
    metrics = read_required(folder / "metrics.json", "evaluate the run before reporting on it", Metrics)
    notes: list[str] = []
    attacks = _attacks(folder, metrics, notes)
    pictured = table(metrics, "data").get("image_size") != 0  # of tables and text nobody expects a picture
    truth, public = gallery(folder, notes) if pictured else (None, None)
    timings = read_optional(folder / "timings.json", TimingsFile)
    if not timings:
        notes.append("No timings.json, so what it would say is left out.")
    manifest = _manifest(folder)
    labels = _labels(manifest, attacks, truth)
    _note_unscored(attacks, notes)
    uploads = table(manifest, "uploads").get("kind")
    shared = _SHARED.get(str(uploads), "logits")
    own_model = manifest.get("server_logits") is not False
    defended = rows(table(metrics, "config"), "defenses") or rows(manifest, "defenses")
    defenses = list(dict.fromkeys(printable(str(row.get("name"))) for row in defended))
    return Run(folder, metrics, timings, attacks, truth, public, labels, notes, shared, own_model, defenses)


def read_required(path: Path, missing: str, model: type[Record] | None = None) -> dict[str, Any]:
    """A JSON object of format 1 that a report cannot do without.

    Args:
        path: the file.
        missing: what it means that it is not there.
        model: what it must hold; without one any object will do.

    Raises:
        ReportError: it is missing, or it is not to be read.
    """
    if not path.is_file():
        raise ReportError(f"{path} is missing: {missing}")
    try:
        value = read_object(path) if model is None else read_file(path, model)
    except UserError as problem:
        raise ReportError(str(problem)) from None
    if model is None and value.get("format", FORMAT) != FORMAT:
        raise ReportError(f"{path} has format {value['format']!r}; this version reads format {FORMAT}")
    return value


def read_optional(path: Path, model: type[Record]) -> dict[str, Any]:
    """What a declared file holds; empty where there is none.

    Raises:
        ReportError: it is damaged.
    """
    return read_required(path, "", model) if path.exists() else {}


def _attacks(folder: Path, metrics: dict[str, Any], notes: list[str]) -> list[Attack]:
    """The attacks of metrics.json and those that only left a folder, sorted by kind."""
    judged = {
        str(name): value for name, value in table(metrics, "attacks").items() if isinstance(value, dict)
    }
    home = folder / "attacks"
    folders = {path.name: path for path in sorted(home.iterdir()) if path.is_dir()} if home.is_dir() else {}
    played = sides(folder, notes)
    attacks = []
    failed = {str(name): str(reason) for name, reason in table(metrics, "failed").items()}
    notes += [f"The attack {name} failed: {reason}" for name, reason in failed.items()]
    unjudged = [name for name in folders if name not in judged and name not in failed]
    for name in [*judged, *unjudged]:
        # The folder is looked up among the folders that exist: a name such as "../x" reads nothing.
        attacks.append(_attack(name, judged.get(name, {}), folders.get(name), played.get(name), notes))
        if attacks[-1].kind != "rival" and attacks[-1].images is None:
            notes.append(f"No readable reconstructions of {name}: its numbers stand without images.")
    return sorted(attacks, key=lambda attack: KINDS.index(attack.kind))


def _attack(
    name: str, numbers: dict[str, Any], path: Path | None, played: Sides | None, notes: list[str]
) -> Attack:
    """One attack; where a run in several worlds has no folder for it, the gallery stands in."""
    numbers = {**(_said(path) if path else {}), **numbers}
    final, rounds = reconstructions(path, notes) if path else (None, {})
    images = chosen_images(final, rounds, rows(numbers, "per_target"))
    if images is None and played is not None:
        images = played.last()[0]
    return Attack(name, numbers, images, rounds or (played.inside if played else {}), played)


def _said(path: Path) -> dict[str, Any]:
    """What the attack wrote about itself, once it was finished; metrics.json takes precedence over it."""
    return read_optional(path / "attack.json", AttackFile)


def _manifest(folder: Path) -> dict[str, Any]:
    """What travelled, in the run's own wire or, of a run in several worlds, in the first world's."""
    for home in (folder, folder / "worlds" / "0"):
        with suppress(OSError, ValueError):
            manifest = parse_json((home / "wire" / "manifest.json").read_text(encoding="utf-8"))
            if manifest and isinstance(manifest, dict):
                return manifest
    return {}


def _labels(manifest: dict[str, Any], attacks: list[Attack], truth: Images | None) -> list[int]:
    """The target labels: from the judged targets, else from the manifest, else counted."""
    for attack in attacks:
        labels = [row["label"] for row in attack.per_target if isinstance(row.get("label"), int)]
        if labels and len(labels) == len(attack.per_target):
            return labels
    listed = manifest.get("target_labels")
    if isinstance(listed, list) and listed and all(isinstance(label, int) for label in listed):
        return listed
    stacks = [truth, *(attack.images for attack in attacks)]
    return list(range(max((len(stack) for stack in stacks if stack is not None), default=0)))


def _note_unscored(attacks: list[Attack], notes: list[str]) -> None:
    unscored = [attack.name for attack in attacks if not attack.numbers.get("accuracy")]
    if unscored:
        notes.append(f"Not judged, for want of the truth: {', '.join(unscored)}.")
