"""The server of a deployed federation: the same rounds as a simulation's, and the same record of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from logitleak import config as configs
from logitleak.deploy.config import DeployConfig
from logitleak.deploy.folders import Facts, check_facts, read_facts, read_public
from logitleak.deploy.sums.make import sums_of
from logitleak.deploy.sums.server import Forms
from logitleak.errors import UserError
from logitleak.federation.answers import printable
from logitleak.federation.channel import Recorder, TooFewClients
from logitleak.federation.draws import Reach, drawn_from
from logitleak.federation.rounds import play
from logitleak.files.lock import alone
from logitleak.schemes.base import Scheme, Server
from logitleak.stages import aggregation
from logitleak.stages.banks import bank_of, scheme_of
from logitleak.stages.check import check_architectures
from logitleak.stages.folder import RunFolder, World, choose_device, logged, timed
from logitleak.stages.opening import open_run
from logitleak.stages.shields import on_record
from logitleak.stages.simulation import manifest_of
from logitleak.stages.traffic import weights_of
from logitleak.stages.trainers import schedule_of
from logitleak.types import PublicData
from logitleak.wire.public import read_manifest
from logitleak.wire.writer import TranscriptWriter

log = logging.getLogger(__name__)

Connect = Callable[[Forms], Reach]

_RUNNING = "The server has not said that it is finished: it is still running, or was killed."
_MOST = 400
"""Characters of a reason that are kept."""


@dataclass(frozen=True)
class _World:
    """What the server knows before anybody has sent anything."""

    config: DeployConfig
    scheme: Scheme
    facts: Facts
    public: PublicData


def serve(config: DeployConfig, connect: Connect) -> RunFolder:
    """Run all rounds with whoever connects, and write the run folder.

    After every round the folder claims the rounds that are whole, so that they can be attacked however the server
    ends. Where too few clients answer, the federation ends there.

    Args:
        config: what everybody is told.
        connect: from what valid answers look like to the transport that reaches the clients.

    Raises:
        UserError: the server's folder does not fit the configuration, or the run folder is in use.
        TooFewClients: the federation ended early; ``run.json`` says where and why.
    """
    world = _world(config)
    with alone(config.out):
        run = _open(world)
        with logged(run), timed(run, "federation"):
            _serve(world, run, connect)
    return run


def next_step(run: RunFolder) -> str:
    """What to do with a federation that is finished, in a few words."""
    seen = read_manifest(World(run.path).wire / "manifest.json").aggregation
    if seen is not None and seen.seen_by == "client":
        return f"this server never had a mean; for a client's view: logitleak deploy open {run.path} MEANS"
    return f"attack it with: logitleak attack {run.path}"


def _serve(world: _World, run: RunFolder, connect: Connect) -> None:
    classes, config = world.facts.num_classes, world.config
    form: Forms = partial(world.scheme.form, public=len(world.public), num_classes=classes)
    labels, defenses = (
        world.facts.target_labels,
        on_record(config.defenses, schedule_of(config.federation, world.scheme)),
    )
    sums = sums_of(config.federation, world.scheme, form)
    aggregated = aggregation.on_record(config.federation, None if sums is None else sums.hiding)
    manifest = manifest_of(config.federation, world.scheme, classes, labels, defenses, aggregated)
    writer = TranscriptWriter(World(run.path).wire, manifest, world.public)
    if sums is not None:
        log.info(sums.said_beforehand(len(world.public) * classes))
    everybody = connect(form if sums is None else sums.form)
    transport = drawn_from(everybody, config.federation.drawn, config.seed)
    channel = Recorder(transport, writer, form, config.minimum_clients, sums=sums)
    _rounds(world, run, writer, channel, None if sums is None else partial(sums.agree, transport))
    run.update(federated=True, ended=None)


def _world(config: DeployConfig) -> _World:
    scheme, folder = scheme_of(config.federation), config.server_data
    facts, public = read_facts(folder), read_public(folder)
    check_facts(folder, facts, config.federation)
    check_architectures(config.federation, scheme, public.image_size, facts.num_classes)
    return _World(config, scheme, facts, public)


def _open(world: _World) -> RunFolder:
    """A fresh run folder, with the configuration of a simulation as far as the server knows it."""
    config = world.config
    if config.out.exists() and any(config.out.iterdir()):
        raise UserError(f"{config.out} is not empty; set out to another folder.")
    known = configs.load(config.server_data / "config.yaml")
    resolved = known.model_copy(
        update={
            "seed": config.seed,
            "device": config.device,
            "federation": config.federation,
            "defenses": config.defenses,
            "attacks": {},
        }
    )
    weights = weights_of(config.federation, world.public.image_size, world.facts.num_classes)
    run = open_run(config.out, resolved)
    run.update(deployed=True, weights=weights)
    return run


def _rounds(
    world: _World,
    run: RunFolder,
    writer: TranscriptWriter,
    channel: Recorder,
    agree: Callable[[], None] | None,
) -> None:
    config, public = world.config, world.public
    f, device = config.federation, choose_device(config.device)
    bank = bank_of(
        f, f.server_model, ["server"], public.image_size, world.facts.num_classes, config.seed, device
    )
    done = 0

    def end(reason: str) -> str:
        return _end(run, writer, done, channel.asked.get(world.scheme.uploads[0], 0), reason)

    try:
        if agree is not None:
            agree()
        for done in play(world.scheme, channel, Server(bank, public), writer, f.rounds):
            if done > 0:
                asked = min(done + 1, f.rounds)  # the next round may have begun when the server is killed
                _claim(run, writer, done, asked, _RUNNING)
                log.info("round %d of %d is finished", done, f.rounds)
    except TooFewClients as ended:
        raise TooFewClients(f"{ended} {end(str(ended))}") from None
    except BaseException as error:  # stopped or broken: the rounds that were whole stay
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        end(reason)
        raise


def _claim(run: RunFolder, writer: TranscriptWriter, done: int, asked: int, reason: str) -> None:
    """Say that so many rounds are whole, in how many uploads were asked for, and why there are no more."""
    writer.finish(done, asked)
    run.update(federated=True, ended={"after_round": done, "reason": printable(reason, _MOST)})


def _end(run: RunFolder, writer: TranscriptWriter, done: int, asked: int, reason: str) -> str:
    """Close a federation that ends before its time; what that means, in a sentence."""
    if done == 0:
        run.update(ended={"after_round": 0, "reason": printable(reason, _MOST)})
        return "No round was finished, so nothing can be attacked."
    _claim(run, writer, done, asked, reason)
    return f"The federation ends after round {done}; what is recorded in {run.path} can be attacked."
