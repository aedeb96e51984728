"""One simulated federation: its models, its rounds, its transcript, and its checkpoints."""

from __future__ import annotations

import logging
import math
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from logitleak.config import Config, FederationConfig
from logitleak.defenses.draws import Seeded
from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank
from logitleak.federation.batches import PREDICTED
from logitleak.federation.channel import ClientGroup, InProcessChannel, Recorder, Transport, predictions
from logitleak.federation.draws import drawn_from, planned
from logitleak.federation.memo import Memo
from logitleak.federation.rounds import play
from logitleak.federation.trainer import Trainer
from logitleak.files.finite import all_finite
from logitleak.files.model_state import under
from logitleak.files.storage import read_json, read_tensors, write_json, write_tensors
from logitleak.metrics import confidence
from logitleak.metrics.utility import accuracy
from logitleak.progress import Progress
from logitleak.schemes.base import ClientContext, Scheme, Server
from logitleak.sealed.truth import Split
from logitleak.stages import aggregation
from logitleak.stages.banks import bank_of, scheme_of
from logitleak.stages.candidates import AskingTransport
from logitleak.stages.folder import World, choose_device
from logitleak.stages.shields import insides_of, on_record, shields_of
from logitleak.stages.trainers import schedule_of, trainers_of
from logitleak.wire.writer import Aggregated, Defended, Manifest, TranscriptWriter, Uploads

log = logging.getLogger(__name__)


class Simulation:
    """Banks, server, channel and transcript of one world.

    Args:
        config: seed, device and federation.
        world: where it is written.
        split: who holds what.
        used: bool [n], which private images take part; None for all.
        held: bool [m], which held-out images count for utility; None for all.
        progress: where it reports to.
        memo: where models that learn from the public set alone are kept for other worlds; None for nowhere.
        name: what to call this world in the progress.
        number: which world this is; defenses draw other numbers in each.
        asked: images uint8 [n, 3, H, W] of which it is kept what clients would say of them, and the folder for that;
            None where nobody asks.
    """

    def __init__(
        self,
        config: Config,
        world: World,
        split: Split,
        used: Tensor | None,
        held: Tensor | None,
        progress: Progress,
        memo: Memo | None = None,
        name: str = "federation",
        number: int = 0,
        asked: tuple[Tensor, Path] | None = None,
    ) -> None:
        self.rounds, self.drawn = config.federation.rounds, config.federation.drawn
        self.world, self.split, self.progress, self.name = world, split, progress, name
        self.used = torch.ones(len(split.truth.labels), dtype=torch.bool) if used is None else used
        held = torch.ones(len(split.truth.held_labels), dtype=torch.bool) if held is None else held
        self.held_images, self.held_labels = split.truth.held_images[held], split.truth.held_labels[held]
        self.losses: list[dict[str, Any]] = []
        self.utility: list[dict[str, Any]] = []
        self.scheme = scheme_of(config.federation)
        self.groups, server_bank = build_banks(config, split, self.used, memo)
        f = config.federation
        minimum = f.clients if f.minimum_clients is None else f.minimum_clients
        listener = _Listener(self.losses, self.rounds, progress, all_needed=minimum == f.clients)
        self.server = Server(server_bank, split.public, listener)
        draws = partial(Seeded, config.seed, "defense", number)
        self.trainers = trainers_of(config.defenses, f, self.scheme, range(f.clients), draws)
        context = ClientContext(split.public, listener=listener, trainers=self.trainers)
        private = {k: own for group in self.groups for k, own in zip(group.clients, group.data, strict=True)}
        device = choose_device(config.device)
        self.insides = insides_of(config, self.scheme, private, split.public, split.num_classes, device)
        shields = shields_of(config.defenses, self.scheme, private, draws, self.insides)
        everybody = InProcessChannel(self.scheme, self.groups, context, shields)
        channel: Transport = drawn_from(everybody, f.drawn, config.seed)
        if asked is not None:
            channel = AskingTransport(channel, self.groups, self.scheme.uploads[0], *asked)
        labels = split.truth.target_labels.tolist()
        secrets = aggregation.secrets_of(config.seed, number)
        hiding = aggregation.hiding_of(config.federation, self.scheme.upload_kind, secrets)
        manifest = manifest_of(
            config.federation,
            self.scheme,
            split.num_classes,
            labels,
            on_record(config.defenses, schedule_of(f, self.scheme)),
            aggregation.on_record(config.federation, hiding),
        )
        self.done = last_checkpoint(world)
        if self.done < 0:  # nothing to go on from: leave nothing of an earlier start, whatever its data were
            shutil.rmtree(world.wire, ignore_errors=True)
        self.writer = TranscriptWriter(world.wire, manifest, split.public)
        form = partial(self.scheme.form, public=len(split.public), num_classes=split.num_classes)
        self.channel = Recorder(channel, self.writer, form, minimum, hiding)

    def go_on(self) -> None:
        """Every round that is not finished yet."""
        self._resume()
        total = planned(self.scheme, self.channel.clients, self.rounds, self.drawn).total
        self.progress.stage(self.name, total)
        self.progress.advance(steps=len(self.losses))
        for round in play(self.scheme, self.channel, self.server, self.writer, self.rounds, self.done):
            self._measure(round)
            self._checkpoint(round)
            log.info("round %d of %d is finished", round, self.rounds)

    def predicted(self) -> dict[str, Tensor]:
        """What server and clients say of the held-out images that count, int64 [n] and [K, n]."""
        clients = torch.empty(self.channel.clients, len(self.held_labels), dtype=torch.int64)
        for k, logits in predictions(self.groups, self.held_images):
            clients[k] = logits.argmax(1)
        server = self.server.bank.predict(self.held_images)[0].argmax(1)
        return {"clients": clients, "server": server}

    def confidence(self) -> dict[str, Any]:
        """Fig. 3: histograms of the entropy of server and clients on public and private images."""
        classes = self.split.num_classes
        clients: dict[str, list[Tensor]] = {"public": [], "private": []}
        public, truth = self.split.public, self.split.truth
        for group in self.groups:
            for place, data in enumerate(group.data):  # each on its own private set, and on nobody else's
                clients["public"].append(_entropies(group.bank, place, public.images))
                clients["private"].append(_entropies(group.bank, place, data.images))
        server = {
            "public": torch.cat([confidence.entropy(part) for part in self.server.logits().split(PREDICTED)]),
            "private": _entropies(self.server.bank, 0, truth.images[self.used]),
        }
        shares: dict[str, Any] = {"bins": confidence.edges(classes)}
        for side in ("public", "private"):
            shares[f"server_{side}"] = confidence.histogram(server[side], classes)
            shares[f"client_{side}"] = confidence.histogram(torch.cat(clients[side]), classes)
        return shares

    def _measure(self, round: int) -> None:
        """Accuracy of every model on held-out images."""
        clients = {}
        for k, logits in predictions(self.groups, self.held_images):
            clients[k] = accuracy(logits, self.held_labels) if all_finite(logits) else None
        server = accuracy(self.server.bank.predict(self.held_images)[0], self.held_labels)
        self.utility.append(
            {"round": round, "server": server, "clients": [clients[k] for k in sorted(clients)]}
        )

    def _keepers(self) -> dict[str, ModelBank | Scheme | Trainer]:
        """Whatever has a state that rounds change."""
        groups = {f"group-{i}": group.bank for i, group in enumerate(self.groups)}
        beside = {
            f"{company.name}-{k}": one.bank for k, all in self.insides.items() for company, one in all.items()
        }
        trainers = {f"trainer-{k}": one for k, one in self.trainers.items()}
        return {**groups, **beside, **trainers, "server": self.server.bank, "scheme": self.scheme}

    def _checkpoint(self, round: int) -> None:
        """Keep all models. The tensors come last: a checkpoint without them does not count."""
        folder = self.world.checkpoint
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
        file = self.world.checkpoint / f"round-{self.done:02d}.safetensors"
        table = read_tensors(file)
        for name, keeper in self._keepers().items():
            keeper.load_state(under(table, f"{name}/"))
        kept = read_json(file.with_suffix(".json"))
        self.losses[:], self.utility = kept["losses"], kept["utility"]
        log.info("going on after round %d", self.done)
        self.progress.note(f"Going on after round {self.done} of {self.rounds}.")


class _Listener:
    """Writes down the loss of every epoch. It does not know the simulation whose parts tell it: in a circle of
    references a world's models would stay until the garbage collector comes, beside those of the next world.

    Args:
        losses: where they are written down.
        rounds: T.
        progress: where it reports to.
        all_needed: whether a client that diverges ends the federation at once. Where it may go on, what the client
            sends next is refused, as in a deployment, whose server hears of no loss.
    """

    def __init__(
        self, losses: list[dict[str, Any]], rounds: int, progress: Progress, all_needed: bool
    ) -> None:
        self._losses, self._rounds, self._progress = losses, rounds, progress
        self._all_needed = all_needed

    def __call__(self, round: int, phase: str, client: int | None, epoch: int, loss: float) -> None:
        who = "server" if client is None else f"client {client}"
        self._progress.advance(f"round {round} of {self._rounds}, {who}, {phase}, loss {loss:.4f}")
        if not math.isfinite(loss):
            if client is not None and not self._all_needed:
                log.warning("round %d, %s: the loss of %s is not finite", round, phase, who)
                return
            raise UserError(
                f"The loss of {who} in round {round}, {phase}, is not finite; lower federation.lr."
            )
        value = round_loss(loss)
        self._losses.append({"round": round, "phase": phase, "client": client, "epoch": epoch, "loss": value})


def _entropies(bank: ModelBank, k: int, images: Tensor) -> Tensor:
    """Entropy of one model's output on each image, float64 [n]; no more than a batch of outputs is held. A model that
    diverged is sure of nothing, and adds none."""
    found = torch.cat([confidence.entropy(logits) for logits in bank.predict_parts(k, images)])
    return found[found.isfinite()]


def last_checkpoint(world: World) -> int:
    """The newest round whose models were kept; −1 where there is none."""
    numbers = [int(file.stem.removeprefix("round-")) for file in world.checkpoint.glob("round-*.safetensors")]
    return max(numbers, default=-1)


def build_banks(
    config: Config, split: Split, used: Tensor | None = None, memo: Memo | None = None
) -> tuple[list[ClientGroup], ModelBank]:
    """One bank for each client architecture, and the server's; architectures are dealt out in turn."""
    f = config.federation
    device = choose_device(config.device)
    size, classes = split.public.image_size, split.num_classes
    members: dict[str, list[int]] = {}
    for k in range(f.clients):
        members.setdefault(f.model_of(k), []).append(k)
    groups = [
        ClientGroup(
            bank_of(f, name, clients, size, classes, config.seed, device, memo),
            clients,
            [split.truth.client(k, used) for k in clients],
        )
        for name, clients in members.items()
    ]
    for group in groups:
        group.bank.refuse_too_few([len(data) for data in group.data])
    server = bank_of(f, f.server_model, ["server"], size, classes, config.seed, device, memo)
    return groups, server


def manifest_of(
    f: FederationConfig,
    scheme: Scheme,
    num_classes: int,
    target_labels: list[int],
    defenses: list[Defended],
    aggregated: Aggregated | None = None,
) -> Manifest:
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
        defenses=defenses,
        aggregation=aggregated,
        participant="generated" in scheme.provides,
    )


def round_loss(loss: float) -> float:
    """Losses are written with six digits."""
    return float(f"{loss:.6g}")
