"""How a transcript lies on disk: the folder ``wire/`` of a run, and the writer that fills it round by round."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import Tensor

from logitleak.errors import UserError
from logitleak.files.atomic import move
from logitleak.files.storage import TensorFile, write_json, write_tensors
from logitleak.text import printable
from logitleak.types import Event, PublicData, UploadKind

FORMAT = 1
ACTION = "[a-z][a-z0-9_-]*"
OWN = "own"
"""The file of a round with the server's own logits; others are called by their actions."""
HELD = "participant"
"""The file of a round with what a participant that attacks holds; no message."""
MEAN = "mean"
"""Where the mean of uploads is in an exchange, in place of those of "client-K"."""
MOST_CLIENTS, MOST_CLASSES = 10_000, 1_000_000
"""Far above any federation that is attacked; a stranger's manifest may claim more, to use up a reader's memory."""


class Uploads(BaseModel):
    """Which message of a round carries the clients' outputs on the public set, or their models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: str = Field(pattern=f"^{ACTION}$", max_length=100)
    tensor: str = Field(max_length=200)
    kind: UploadKind


class PrivateTraining(BaseModel):
    """How long each client learns its private images in the whole run, in epochs, and by how many in a step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(ge=0, le=2**31)
    batch: int = Field(gt=0, le=2**31)


class Defended(BaseModel):
    """A defense that clients were told to use: what everybody knows of it, which is no proof that they did.
    ``training`` is there for one that acts while they learn private images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(max_length=100)
    settings: dict[str, Any] = Field(default_factory=dict, max_length=100)
    clients: Literal["all"] | Annotated[list[int], Field(fail_fast=True, max_length=MOST_CLIENTS)] = "all"
    training: PrivateTraining | None = None


class Aggregated(BaseModel):
    """How uploads were summed, so that a transcript holds their mean and no single one; and who gets that mean: the
    server, or clients alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(max_length=100)
    settings: dict[str, Any] = Field(default_factory=dict, max_length=100)
    seen_by: Literal["server", "client"] = "server"


class Manifest(BaseModel):
    """``wire/manifest.json``: the public facts of a federation.

    ``server_logits`` says whether every round has the server's own outputs; a capture may come without them.
    ``asked`` is in how many rounds uploads were asked for, where a federation ended in one that is not whole: they have
    left the clients, though none is on record; None for as many as there are rounds.
    ``defenses`` act in their order, at clients, before anything is sent. With ``aggregation`` no upload is on record,
    only the mean of all. ``participant`` says that somebody takes part who attacks the others, and whose images are on
    record.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1]
    scheme: str = Field(max_length=200)
    clients: int = Field(gt=0, le=MOST_CLIENTS)
    rounds: PositiveInt
    asked: PositiveInt | None = None
    num_classes: int = Field(gt=0, le=MOST_CLASSES)
    target_labels: Annotated[
        list[int], Field(fail_fast=True)
    ]  # a million wrong ones are not a million errors
    uploads: Uploads
    server_logits: bool = True
    defenses: list[Defended] = Field(default_factory=list, max_length=100)
    aggregation: Aggregated | None = None
    participant: bool = False


class TranscriptWriter:
    """Writes ``wire/``. A round appears under its name only when it is whole.

    Args:
        folder: the ``wire/`` folder; it is created.
        manifest: the facts of the federation.
        public: the public set.
    """

    def __init__(self, folder: Path, manifest: Manifest, public: PublicData) -> None:
        self.folder = folder
        self._manifest = manifest
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "public.safetensors").exists():
            tensors = {"images": public.images, "sensitive": public.sensitive.to(torch.uint8)}
            if public.labels is not None:
                tensors["labels"] = public.labels
            write_tensors(folder / "public.safetensors", tensors)
        write_json(folder / "manifest.json", manifest.model_dump(exclude_defaults=True))

    def write(self, event: Event) -> None:
        """Keep one exchange. One that carried nothing, and that no client missed, leaves no file.

        Raises:
            UserError: it would take the place of another, or belongs to a round that is whole.
        """
        check_action(event.action)
        tensors = {f"sent/{name}": value for name, value in event.sent.tensors.items()}
        scalars = {f"sent/{name}": value for name, value in event.sent.scalars.items()}
        for client, payload in event.received.items():
            tensors.update({f"client-{client}/{name}": value for name, value in payload.tensors.items()})
            scalars.update({f"client-{client}/{name}": value for name, value in payload.scalars.items()})
        if event.summed is not None:
            tensors.update({f"{MEAN}/{name}": value for name, value in event.summed.mean.tensors.items()})
        if tensors or scalars or event.absent or event.summed is not None:
            path = self._free(event.round, event.action)
            described = {"scalars": json.dumps(scalars, sort_keys=True)}
            if event.absent:
                described["absent"] = json.dumps(dict(event.absent), sort_keys=True)
            if event.summed is not None:
                described["bytes"] = json.dumps(dict(event.summed.nbytes), sort_keys=True)
            write_tensors(path, tensors, described)

    def write_own(self, round: int, logits: Tensor) -> None:
        """Keep the server's own logits on the public set after its training in this round.

        Raises:
            UserError: they were written, or the round is whole.
        """
        write_tensors(self._free(round, OWN), {"logits": logits})

    def write_held(self, round: int, tensors: Mapping[str, Tensor]) -> None:
        """Keep what a participant that attacks holds after a round: it did not travel, and is its own.

        Raises:
            UserError: it was written, or the round is whole.
        """
        write_tensors(self._free(round, HELD), dict(tensors))

    def commit(self, round: int) -> None:
        """Declare a round whole. Round 0, before the first, leaves a folder only if something travelled in it."""
        if round > 0 or self._partial(round).exists():
            move(self._partial(round), round_folder(self.folder, round))

    def finish(self, rounds: int, asked: int = 0) -> None:
        """Close a transcript, before its time perhaps.

        Args:
            rounds: how many are whole, at least one.
            asked: in how many uploads were asked for, where these are more; those of a round that is not whole are
                forgotten, and count for what defenses promise.
        """
        self.rewind(rounds)
        facts = {"rounds": rounds, "asked": asked if asked > rounds else None}
        self._manifest = self._manifest.model_copy(update=facts)
        write_json(self.folder / "manifest.json", self._manifest.model_dump(exclude_defaults=True))

    def rewind(self, round: int) -> None:
        """Forget every round after this one, and what a killed run left half-written."""
        for folder in self.folder.glob("round-*"):
            number = folder.name.removeprefix("round-")
            if not number.isdigit() or int(number) > round:
                shutil.rmtree(folder)

    def _free(self, round: int, name: str) -> Path:
        """Where to write a file of a round. Nothing that travelled is ever overwritten."""
        path = self._partial(round) / f"{name}.safetensors"
        if round_folder(self.folder, round).exists():
            raise UserError(
                f'"{name}" comes for round {round}, which is whole; a scheme must count its rounds up.'
            )
        if path.exists():
            raise UserError(
                f'"{name}" comes twice in round {round}, and a transcript keeps one of a name; give the second '
                "action of the scheme another name."
            )
        return path

    def _partial(self, round: int) -> Path:
        return self.folder / f"round-{round:02d}.partial"


def check_action(action: str) -> None:
    """Raise a `UserError` where a transcript can have no exchange of this name."""
    if re.fullmatch(ACTION, action) is None or action in (OWN, HELD):
        raise UserError(
            f'An action of a scheme cannot be called "{printable(action, 100)}"; use small letters, digits, - and _, '
            f'and neither "{OWN}", which is where the server\'s own logits are, nor "{HELD}".'
        )


def round_folder(folder: Path, round: int) -> Path:
    """Where a finished round is kept in ``wire/``."""
    return folder / f"round-{round:02d}"


def read_bytes(file: TensorFile, clients: int) -> dict[int, int]:
    """How many bytes each client sent in an exchange of which the mean alone is on record.

    Raises:
        UserError: the list is damaged, or names a client that there is not.
    """
    try:
        listed = {int(k): int(size) for k, size in json.loads(file.metadata().get("bytes", "{}")).items()}
    except (ValueError, RecursionError, AttributeError, TypeError, OverflowError):
        raise UserError(f"{file.path} has a damaged list of bytes that clients sent.") from None
    if any(k not in range(clients) or not 0 <= size < 2**60 for k, size in listed.items()):
        raise UserError(
            f"{file.path} says of a client that there is not, or impossibly, how many bytes it sent."
        )
    return listed


def read_absent(file: TensorFile, clients: int) -> dict[int, str]:
    """Who was missing in an exchange, and why.

    Raises:
        UserError: the list is damaged, or names a client that there is not.
    """
    try:
        said = json.loads(file.metadata().get("absent", "{}"))
        if not all(isinstance(reason, str) for reason in said.values()):
            raise ValueError("a reason is text")
        listed = {int(client): printable(reason) for client, reason in said.items()}
    except (ValueError, RecursionError, AttributeError):
        raise UserError(f"{file.path} has a damaged list of absent clients.") from None
    if any(client not in range(clients) for client in listed):
        raise UserError(f"{file.path} calls a client absent that there is not; clients are 0..{clients - 1}.")
    return listed
