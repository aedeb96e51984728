"""Everybody's own folder: the server's has the public set alone, a client's has the public set and its private images,
and the truth is kept apart, for scoring."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeInt,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from logitleak.config import Config, FederationConfig
from logitleak.data.split import prepare
from logitleak.deploy.canaries import check_plan, plant, toss
from logitleak.errors import UserError
from logitleak.files.atomic import move, restore, sync_all
from logitleak.files.storage import read_json, read_tensors, write_json, write_tensors, write_text
from logitleak.formats.training import TrainingFile
from logitleak.sealed.files import write_game, write_truth
from logitleak.sealed.game import Game
from logitleak.sealed.truth import Split, unlabelled
from logitleak.stages.banks import scheme_of
from logitleak.stages.check import check
from logitleak.text import printable
from logitleak.types import ClientData, PublicData, check_rows

_TOLD = {"source", "image_size", "protocol", "degradation", "degradation_settings", "targets", "labelled"}
"""What the server's ``config.yaml`` says of the data. Not the seed, nor where the images lie: with these, whoever has
them could divide them again, and know who holds whom."""


class Facts(BaseModel):
    """``facts.json`` of a folder: what is not a tensor.

    Attributes:
        scheme: what the data were divided for. A client whose owner agreed to share logits does not share its
            weights because a server now runs another scheme.
        clients: for how many clients the data were divided.
        num_classes: J.
        target_labels: labels whose sensitive images are private; only the server's folder says them.
        client: whose folder it is; null in the server's.
        aggregation: what the data were divided for besides. A client whose owner agreed to sums does not show its
            uploads because a setting has changed; one whose owner agreed to show them may take part in sums.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    scheme: str
    clients: PositiveInt
    num_classes: PositiveInt
    target_labels: list[NonNegativeInt] = []
    client: NonNegativeInt | None = None
    aggregation: str = "plain"

    @model_serializer(mode="wrap")
    def _agreed(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = write(self)
        if self.aggregation == "plain":  # folders of such are what they were before there were sums
            del values["aggregation"]
        return values


def divide(config: Config, out: Path, canaries: int = 0) -> None:
    """Divide the configured data as a simulation would, and write a folder for the server, one for each client, and
    ``sealed``, which nobody in the federation gets.

    Args:
        config: what a simulation of the federation would run.
        out: the folder to fill.
        canaries: how many made-up people to plant among the targets, of whom coins withhold some; 0 for none.

    Raises:
        UserError: the data do not allow this, or the folder holds something.
    """
    out = out.resolve()
    restore(out)  # what a process left that was killed while it divided holds private images
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty; choose another folder, or delete it.")
    check_plan(canaries, config.data)
    refuse_unused(config)
    check(config)
    prepared = prepare(config.data, config.federation.clients, config.seed)
    split, title = prepared.split, prepared.title
    if canaries:
        split = plant(split, config.data, config.federation.clients, canaries)
        title = f"{title}, with {canaries} canaries"
    if not scheme_of(config.federation).labelled:
        split = unlabelled(split)
    game = toss(split.truth, canaries) if canaries else None
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        _write(config, split, game, partial)
        training = {
            "title": title,
            "synthetic": prepared.synthetic,
            "skipped": [{"path": s.path, "reason": s.reason} for s in prepared.skipped],
            "losses": [],
            "utility": [],
            "confidence": None,
        }
        write_json(partial / "sealed" / "training.json", TrainingFile.checked(training))
        sync_all(partial)
        move(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_unused(config: Config) -> None:
    """Raise a `UserError` for what only a simulation can do: a silent setting misleads its reader."""
    if config.game.design != "none":
        raise UserError(
            f"A real federation runs once and with everybody, so game.design={config.game.design} has no effect here; "
            "set game.design=none, and give --canaries to compare in with out."
        )
    if config.candidates:
        raise UserError(
            f"Nobody asks real clients about single images, so candidates={config.candidates} has no effect here; set "
            "candidates=0."
        )
    if config.baselines:
        raise UserError(
            "Real clients train in the federation alone, so baselines=true has no effect here; set baselines=false."
        )


def _write(config: Config, split: Split, game: Game | None, out: Path) -> None:
    """Write every folder. Which images a client gets is all that the coins decide outside of ``sealed``."""
    truth, public = split.truth, split.public
    used = None if game is None else game.used(truth, 0)
    for private in (*(client_folder(out, k) for k in range(config.federation.clients)), out / "sealed"):
        private.mkdir(parents=True, mode=0o700)  # before anything is in them
    shared = {"images": public.images, "sensitive": public.sensitive.to(torch.uint8)}
    if public.labels is not None:
        shared["labels"] = public.labels
    f = config.federation
    facts = Facts(
        scheme=f.scheme,
        clients=f.clients,
        num_classes=split.num_classes,
        aggregation=_agreed(f),
    )
    for client in range(facts.clients):
        folder, own = client_folder(out, client), truth.client(client, used)
        write_tensors(folder / "public.safetensors", shared)
        write_tensors(folder / "private.safetensors", {"images": own.images, "labels": own.labels})
        write_json(folder / "facts.json", facts.model_copy(update={"client": client}).model_dump())
    write_tensors(out / "server" / "public.safetensors", shared)
    known = facts.model_copy(update={"target_labels": truth.target_labels.tolist()})
    write_json(out / "server" / "facts.json", known.model_dump())
    told = config.data.model_dump(mode="json", include=_TOLD) | {"targets": len(truth.target_labels)}
    write_text(out / "server" / "config.yaml", yaml.safe_dump({"data": told}, sort_keys=False))
    write_truth(out / "sealed", truth)
    if game is not None:
        write_game(out / "sealed", game)


def client_folder(data: Path, client: int) -> Path:
    """Where a client's folder is, when all are in one place."""
    return data / f"client-{client}"


def read_facts(folder: Path) -> Facts:
    """What a folder says.

    Raises:
        UserError: there is no such folder, or it is damaged.
    """
    path = folder / "facts.json"
    try:
        return Facts.model_validate(read_json(path))
    except ValidationError as error:
        raise UserError(f"{path} is damaged: {error.errors()[0]['msg']}.") from None


def check_facts(folder: Path, facts: Facts, federation: FederationConfig) -> None:
    """Raise a `UserError` unless the data of a folder were divided for this federation."""
    found, wanted = (facts.scheme, facts.clients), (federation.scheme, federation.clients)
    if found != wanted:
        raise UserError(
            f"{folder} was divided for {found[0]} with {found[1]} clients, and this is {wanted[0]} with {wanted[1]}; "
            "divide the data again."
        )
    if facts.aggregation not in ("plain", _agreed(federation)):
        raise UserError(
            f"{folder} was divided for sums by {printable(facts.aggregation, 100)}, and this is "
            f"{_agreed(federation)}; set federation.aggregation, or divide the data again."
        )


def _agreed(federation: FederationConfig) -> str:
    """Behind what uploads are seen, as far as an owner agrees to it."""
    server = federation.aggregation.settings.get("server")
    return federation.aggregation.kind + (f", server {server}" if server == "aggregator" else "")


def read_public(folder: Path) -> PublicData:
    """The public set in a folder.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / "public.safetensors"
    tensors = _tensors(path, "images", "sensitive")
    return PublicData(tensors["images"], tensors.get("labels"), tensors["sensitive"].to(torch.bool))


def fingerprint(public: PublicData) -> str:
    """A hash of a public set, which is to be the same for everybody."""
    digest = hashlib.sha256()
    parts = {"images": public.images, "labels": public.labels, "sensitive": public.sensitive}
    for name, value in parts.items():
        if value is not None:
            digest.update(f"{name} {value.dtype} {list(value.shape)} ".encode())
            digest.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_private(folder: Path, facts: Facts) -> ClientData:
    """The private images in a client's folder.

    Raises:
        UserError: they are missing or damaged.
    """
    path = folder / "private.safetensors"
    tensors = _tensors(path, "images", "labels")
    try:
        check_rows(tensors["labels"], facts.num_classes)
    except ValueError:
        raise UserError(f"{path}: labels must be in 0..{facts.num_classes - 1}.") from None
    return ClientData(tensors["images"], tensors["labels"])


def _tensors(path: Path, *names: str) -> dict[str, Any]:
    tensors = read_tensors(path)
    for name in names:
        if name not in tensors:
            raise UserError(f'{path} holds no tensor called "{name}".')
    images = tensors["images"]
    if images.dim() != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
        raise UserError(f"{path}: images must be uint8 [n, 3, H, W].")
    if any(len(value) != len(images) for value in tensors.values()):
        raise UserError(f"{path}: every tensor must have as many rows as there are images.")
    return tensors
