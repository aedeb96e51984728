"""Stage 1: simulate the federation, and write down what travelled."""

from __future__ import annotations

import logging
import math
import shutil
from functools import partial
from typing import Any

import torch
from torch import Tensor

from logitleak.bank import ModelBank
from logitleak.channel import ClientGroup, InProcessChannel, Recorder
from logitleak.config import Config, FederationConfig
from logitleak.data.split import prepare
from logitleak.errors import UserError
from logitleak.metrics import confidence
from logitleak.metrics.utility import accuracy
from logitleak.progress import Progress
from logitleak.schemes.base import ClientContext, Scheme, Server
from logitleak.sealed import read_truth, write_truth
from logitleak.stages.check import optimization_of, scheme_of
from logitleak.stages.folder import RunFolder, choose_device
from logitleak.stages.traffic import weights_of
from logitleak.storage import read_json, read_tensors, write_json, write_tensors
from logitleak.truth import Split, unlabelled
from logitleak.wire import Manifest, TranscriptWriter, Uploads

log = logging.getLogger(__name__)


def federate(config: Config, run: RunFolder, progress: Progress) -> None:
    """Run all rounds of the configured scheme, from the last finished one on.

    Writes ``wire/`` and ``sealed/``. After every round the models are kept in ``checkpoint/``, so a killed
    run goes on from there and ends with the same transcript.

    Raises:
        UserError: the data or the configuration do not allow this federation, or the folder holds a real one.
    """
    run.refuse_deployed()
    if run.status().get("federated"):
        return
    progress.stage("data", 1)
    prepared = prepare(config.data, config.federation.clients, config.seed)
    log.info(
        "data: %s, %d public, %d private images",
        prepared.title,
        len(prepared.split.public),
        len(prepared.split.truth.labels),
    )
    scheme = scheme_of(config.federation)
    split = prepared.split if scheme.labelled else unlabelled(prepared.split)
    federation = _Federation(config, run, scheme, split, progress)
    federation.go_on()
    write_json(
        run.sealed / "training.json",
        {
            "title": prepared.title,
            "synthetic": prepared.synthetic,
            "skipped": [{"path": s.path, "reason": s.reason} for s in prepared.skipped],
            "losses": federation.losses,
            "utility": federation.utility,
            "confidence": federation.confidence(),
        },
    )
    weights = weights_of(config.federation, split.public.image_size, split.num_classes)
    run.update(federated=True, weights=weights)
    shutil.rmtree(run.checkpoint, ignore_errors=True)


class _Federation:
    """Banks, server, channel and transcript of one simulation."""

    def __init__(
        self, config: Config, run: RunFolder, scheme: Scheme, split: Split, progress: Progress
    ) -> None:
        self.rounds = config.federation.rounds
        self.run, self.split, self.progress = run, split, progress
        self.losses: list[dict[str, Any]] = []
        self.utility: list[dict[str, Any]] = []
        self.scheme = scheme
        self.groups, server_bank = build_banks(config, scheme, split)
        self.server = Server(server_bank, split.public, self._listen)
        context = ClientContext(split.public, listener=self._listen)
        channel = InProcessChannel(self.scheme, self.groups, context)
        manifest = manifest_of(
            config.federation, scheme, split.num_classes, split.truth.target_labels.tolist()
        )
        self.done = _last_checkpoint(run)
        if self.done < 0:  # nothing to go on from: leave nothing of an earlier start, whatever its data were
            shutil.rmtree(run.wire, ignore_errors=True)
            shutil.rmtree(run.sealed, ignore_errors=True)
            write_truth(run.sealed, split.truth)
        elif not _same_data(run, split):
            raise UserError(
                f"The images have changed since {run.path} was begun; delete it, or choose another --out."
            )
        self.writer = TranscriptWriter(run.wire, manifest, split.public)
        form = partial(scheme.form, public=len(split.public), num_classes=split.num_classes)
        self.channel = Recorder(channel, self.writer, form, minimum=channel.clients)

    def go_on(self) -> None:
        """Every round that is not finished yet."""
        self._resume()
        total = self.scheme.planned_epochs(self.channel.clients, self.rounds)
        self.progress.stage("federation", total)
        self.progress.advance(steps=len(self.losses))
        if self.done < 0:
            self.scheme.begin(self.channel, self.server)
            self._measure(0)
            self._checkpoint(0)
        for round in range(max(self.done, 0) + 1, self.rounds + 1):
            self.scheme.serve(round, self.channel, self.server)
            self.writer.write_own(round, self.server.logits())
            self._measure(round)
            self.writer.commit(round)
            self._checkpoint(round)
            log.info("round %d of %d is finished", round, self.rounds)

    def confidence(self) -> dict[str, Any]:
        """Fig. 3: histograms of the entropy of server and clients on public and private images."""
        classes = self.split.num_classes
        clients: dict[str, list[Tensor]] = {"public": [], "private": []}
        for group in self.groups:
            for logits in group.bank.predict_each(self.split.public.images):
                clients["public"].append(confidence.entropy(logits))
            logits_private = list(group.bank.predict_each(self.split.truth.images))
            for k, logits in zip(group.clients, logits_private, strict=True):  # each on its own private set
                clients["private"].append(confidence.entropy(logits[self.split.truth.owners == k]))
        server = {
            "public": confidence.entropy(self.server.logits()),
            "private": confidence.entropy(self.server.bank.predict(self.split.truth.images)[0]),
        }
        shares: dict[str, Any] = {"bins": confidence.edges(classes)}
        for side in ("public", "private"):
            shares[f"server_{side}"] = confidence.histogram(server[side], classes)
            shares[f"client_{side}"] = confidence.histogram(torch.cat(clients[side]), classes)
        return shares

    def _listen(self, round: int, phase: str, client: int | None, epoch: int, loss: float) -> None:
        who = "server" if client is None else f"client {client}"
        self.progress.advance(f"round {round} of {self.rounds}, {who}, {phase}, loss {loss:.4f}")
        if not math.isfinite(loss):
            raise UserError(f"The loss of {who} in {phase} is not finite; lower federation.lr.")
        value = round_loss(loss)
        self.losses.append({"round": round, "phase": phase, "client": client, "epoch": epoch, "loss": value})

    def _measure(self, round: int) -> None:
        """Accuracy of every model on held-out images."""
        truth = self.split.truth
        clients = {}
        for group in self.groups:
            for k, logits in zip(group.clients, group.bank.predict_each(truth.held_images), strict=True):
                clients[k] = accuracy(logits, truth.held_labels)
        server = accuracy(self.server.bank.predict(truth.held_images)[0], truth.held_labels)
        self.utility.append(
            {"round": round, "server": server, "clients": [clients[k] for k in sorted(clients)]}
        )

    def _keepers(self) -> dict[str, ModelBank | Scheme]:
        """Whatever has a state that rounds change."""
        groups = {f"group-{i}": group.bank for i, group in enumerate(self.groups)}
        return {**groups, "server": self.server.bank, "scheme": self.scheme}

    def _checkpoint(self, round: int) -> None:
        """Keep all models. The tensors come last: a checkpoint without them does not count."""
        folder = self.run.checkpoint
        write_json(folder / f"round-{round:02d}.json", {"losses": self.losses, "utility": self.utility})
        table = {
            f"{name}/{key}": value
            for name, keeper in self._keepers().items()
            for key, value in keeper.state().items()
        }
        write_tensors(folder / f"round-{round:02d}.safetensors", table)
        for old in folder.glob("round-*"):
            if old.stem != f"round-{round:02d}":
                old.unlink()

    def _resume(self) -> None:
        """Take back the newest checkpoint, if there is one, and forget what came after it."""
        self.writer.rewind(max(self.done, 0))
        if self.done < 0:
            return
        file = self.run.checkpoint / f"round-{self.done:02d}.safetensors"
        table = read_tensors(file)
        for name, keeper in self._keepers().items():
            prefix = f"{name}/"
            keeper.load_state({k.removeprefix(prefix): v for k, v in table.items() if k.startswith(prefix)})
        kept = read_json(file.with_suffix(".json"))
        self.losses, self.utility = kept["losses"], kept["utility"]
        log.info("going on after round %d", self.done)
        self.progress.note(f"Going on after round {self.done} of {self.rounds}.")


def _last_checkpoint(run: RunFolder) -> int:
    """The newest round whose models were kept; −1 where there is none."""
    found = sorted(run.checkpoint.glob("round-*.safetensors"))
    return int(found[-1].stem.removeprefix("round-")) if found else -1


def _same_data(run: RunFolder, split: Split) -> bool:
    """Whether a started run holds just these public and private images."""
    kept = read_tensors(run.wire / "public.safetensors")["images"]
    truth = read_truth(run.sealed)
    return all(
        torch.equal(a, b)
        for a, b in (
            (kept, split.public.images),
            (truth.images, split.truth.images),
            (truth.labels, split.truth.labels),
            (truth.owners, split.truth.owners),
        )
    )


def build_banks(config: Config, scheme: Scheme, split: Split) -> tuple[list[ClientGroup], ModelBank]:
    """One bank for each client architecture, and the server's; architectures are dealt out in turn."""
    f = config.federation
    device = choose_device(config.device)
    optimization = optimization_of(f, scheme)
    size, classes = split.public.image_size, split.num_classes
    members: dict[str, list[int]] = {}
    for k in range(f.clients):
        members.setdefault(f.model_of(k), []).append(k)
    groups = [
        ClientGroup(
            ModelBank(name, size, classes, clients, optimization, config.seed, device),
            clients,
            [split.truth.client(k) for k in clients],
        )
        for name, clients in members.items()
    ]
    server = ModelBank(f.server_model, size, classes, ["server"], optimization, config.seed, device)
    return groups, server


def manifest_of(f: FederationConfig, scheme: Scheme, num_classes: int, target_labels: list[int]) -> Manifest:
    """The public facts of a federation that makes all its rounds."""
    action, tensor = scheme.uploads
    return Manifest(
        format=1,
        scheme=f.scheme,
        clients=f.clients,
        rounds=f.rounds,
        num_classes=num_classes,
        target_labels=target_labels,
        uploads=Uploads(action=action, tensor=tensor, kind=scheme.upload_kind),
    )


def round_loss(loss: float) -> float:
    """Losses are written with six digits."""
    return float(f"{loss:.6g}")
