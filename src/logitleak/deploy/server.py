"""The server of a deployed federation: the same rounds as a simulation's, and the same record of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from logitleak import config as configs
from logitleak.answers import Form
from logitleak.bank import ModelBank
from logitleak.channel import Recorder, TooFewClients, Transport
from logitleak.deploy.config import DeployConfig
from logitleak.deploy.folders import Facts, check_facts, read_facts, read_public
from logitleak.errors import UserError
from logitleak.schemes.base import Scheme, Server
from logitleak.stages.check import optimization_of
from logitleak.stages.folder import RunFolder, choose_device, logged, open_run, timed
from logitleak.types import Payload, PublicData
from logitleak.wire import Manifest, TranscriptWriter, Uploads

log = logging.getLogger(__name__)

Forms = Callable[[str, Payload], Form]
Connect = Callable[[Forms], Transport]


@dataclass(frozen=True)
class _World:
    """What the server knows before anybody has sent anything."""

    config: DeployConfig
    scheme: Scheme
    facts: Facts
    public: PublicData


def serve(config: DeployConfig, connect: Connect) -> RunFolder:
    """Run all rounds with whoever connects, and write the run folder.

    Where too few clients answer, the federation ends there; the rounds that were whole stay recorded, and can be
    attacked.

    Args:
        config: what everybody is told.
        connect: from what valid answers look like to the transport that reaches the clients.

    Raises:
        UserError: the server's folder does not fit the configuration, or the run folder is in use.
        TooFewClients: the federation ended early; ``run.json`` says where and why.
    """
    world = _world(config)
    run = _open(config)
    with logged(run), timed(run, "federation"):
        form: Forms = partial(
            world.scheme.form, public=len(world.public), num_classes=world.facts.num_classes
        )
        writer = TranscriptWriter(run.wire, _manifest(world), world.public)
        channel = Recorder(connect(form), writer, form, config.minimum_clients)
        _rounds(world, run, writer, channel)
        run.update(federated=True)
    return run


def _world(config: DeployConfig) -> _World:
    scheme, folder = config.scheme(), config.server_data
    facts, public = read_facts(folder), read_public(folder)
    check_facts(folder, facts, config.federation)
    return _World(config, scheme, facts, public)


def _open(config: DeployConfig) -> RunFolder:
    """A fresh run folder, with the configuration that a simulation of this federation would have."""
    if config.out.exists() and any(config.out.iterdir()):
        raise UserError(f"{config.out} is not empty; set out to another folder.")
    divided = configs.load(config.server_data / "config.yaml")
    resolved = divided.model_copy(
        update={"seed": config.seed, "device": config.device, "federation": config.federation}
    )
    return open_run(config.out, resolved, overwrite=False)


def _manifest(world: _World) -> Manifest:
    f, (action, tensor) = world.config.federation, world.scheme.uploads
    return Manifest(
        format=1,
        scheme=f.scheme,
        clients=f.clients,
        rounds=f.rounds,
        num_classes=world.facts.num_classes,
        target_labels=world.facts.target_labels,
        uploads=Uploads(action=action, tensor=tensor, kind=world.scheme.upload_kind),
    )


def _rounds(world: _World, run: RunFolder, writer: TranscriptWriter, channel: Recorder) -> None:
    config, scheme = world.config, world.scheme
    bank = ModelBank(
        config.federation.server_model, world.public.image_size, world.facts.num_classes, ["server"],
        optimization_of(config.federation, scheme), config.seed, choose_device(config.device),
    )  # fmt: skip
    server = Server(bank, world.public)
    done = 0
    try:
        scheme.begin(channel, server)
        writer.commit(0)
        for round in range(1, config.federation.rounds + 1):
            scheme.serve(round, channel, server)
            writer.write_own(round, server.logits())
            writer.commit(round)
            done = round
            log.info("round %d of %d is finished", round, config.federation.rounds)
    except TooFewClients as ended:
        raise TooFewClients(f"{ended} {_end(run, writer, done, str(ended))}") from None
    except BaseException as error:  # stopped or broken: the rounds that were whole stay
        _end(run, writer, done, f"{type(error).__name__}: {error}")
        raise


def _end(run: RunFolder, writer: TranscriptWriter, done: int, reason: str) -> str:
    """Close a federation that ends before its time; what that means, in a sentence."""
    run.update(ended={"after_round": done, "reason": reason})
    if done == 0:
        return "No round was finished, so nothing can be attacked."
    writer.finish(done)
    run.update(federated=True)
    return f"The federation ends after round {done}; what is recorded in {run.path} can be attacked."
