"""The server's lab: federations and clients that the server plays by itself, from public data alone.

*Mock twins* are a small federation in which public people play the private ones, in two worlds, as a game has it
(`cast` says who plays whom). Their truth is public, so settings can be chosen by what they leak there. *Shadows* are
clients of the server's own: they have the architecture and the public training of real ones, are taught what the server
really sent out, and have no private image.

Both suppose that the server knows how clients train, which in a federation it usually prescribes; mock twins, how
private images are divided among clients too.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from logitleak.attacks.views import ViewOf
from logitleak.config import Config
from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank
from logitleak.federation.memo import Memo
from logitleak.files.lock import locked
from logitleak.files.storage import TensorFile, write_tensors
from logitleak.metrics.attack import References, references
from logitleak.progress import Progress
from logitleak.schemes.base import Average, ClientContext, Scheme, Server
from logitleak.sealed.game import Game
from logitleak.sealed.truth import GroundTruth
from logitleak.seeds import derive_int
from logitleak.stages.banks import bank_of, scheme_of
from logitleak.stages.cast import cast
from logitleak.stages.folder import World, choose_device
from logitleak.stages.simulation import Simulation
from logitleak.types import ClientData, Knowledge, Payload, PublicData, ServerView
from logitleak.wire.transcript import Transcript

SHADOWS = 2
"""How many clients of its own the server trains."""


@dataclass(frozen=True)
class MockTwins:
    """A federation of public people in two worlds, with its truth.

    Attributes:
        views: what a server would see of each world.
        game: which of the people were in.
        truth: who held which image.
        known: what reconstructions are compared with.
        measure: what such a game is decided by, as in the real one: "wins" where there is one domain.
        partition: how private images are divided.
        clients: how many there are.
        rounds: how many rounds it has.
    """

    views: Sequence[ServerView]
    game: Game
    truth: GroundTruth
    known: References
    measure: Literal["success", "wins"]
    partition: str
    clients: int
    rounds: int


def mock_twins(
    knowledge: Knowledge, config: Config, seed: int, home: Path, progress: Progress, shadows: bool = False
) -> MockTwins | str:
    """Play the mock federation, unless it was played before.

    Args:
        knowledge: the real server's; its public set must be labelled.
        config: how clients train, how many they are, how images are divided among them, what a coin is about, and
            where they compute.
        seed: of the attacker.
        home: where it is kept; attacks on the same federation share it.
        progress: where it reports to.
        shadows: whether shadows are to be trained for each world too.

    Returns:
        the twins; or, where there can be none, why not.
    """
    made = cast(knowledge, config, seed)
    if isinstance(made, str):
        return made
    played, split, game, folder = made.config, made.split, made.game, home / made.folder
    worlds = [World(folder / str(number)) for number in range(game.worlds)]
    with locked(folder / ".lock"):  # cells of a sweep share a federation, and its lab
        memo = Memo(folder / "memo", split.public)
        for number, world in enumerate(worlds):
            if not (world.path / "whole").exists():
                used = game.used(split.truth, number)
                name = f"mock world {number + 1} of {len(worlds)}"
                try:
                    simulation = Simulation(played, world, split, used, None, progress, memo, name, number)
                except (
                    UserError
                ) as error:  # a mock client may get fewer images than its models can learn from
                    return f"the mock federation cannot be trained: {error}"
                simulation.go_on()
                shutil.rmtree(world.checkpoint, ignore_errors=True)
                (world.path / "whole").touch()
        shutil.rmtree(folder / "memo", ignore_errors=True)
    views: list[ServerView] = []
    for world in worlds:
        view = Transcript(world.path)
        views.append(
            with_shadows(view, played, played.seed, world.path / "shadows", progress) if shadows else view
        )
    return MockTwins(
        views,
        game,
        split.truth,
        references(split.truth, split.public, game),
        "wins" if config.data.one_domain else "success",
        config.data.partition,
        played.federation.clients,
        played.federation.rounds,
    )


class ShadowView(ViewOf):
    """A view with the outputs of shadows, which lie in a folder."""

    def __init__(self, view: ServerView, folder: Path) -> None:
        super().__init__(view)
        self.folder = folder
        self.shadows = SHADOWS
        self.provides = view.provides | {"shadows"}

    def shadow_logits(self, shadow: int, round: int) -> Tensor:
        """See `ServerView.shadow_logits`."""
        return TensorFile(_shadow_file(self.folder, round)).read(f"shadow-{shadow}")


def with_shadows(view: Transcript, config: Config, seed: int, folder: Path, progress: Progress) -> ServerView:
    """Train shadows beside a recorded federation, unless they were, and give a view that has them.

    A shadow does what the scheme asks of a client, with no private image: it learns from the public set and from the
    messages that the transcript holds. In a scheme whose clients learn from private images alone before they first
    upload (DS-FL), it knows nothing in round 1.

    Args:
        view: the transcript.
        config: how clients train; the first architecture is taken.
        seed: of the attacker.
        folder: where their outputs are kept.
        progress: where it reports to.
    """
    with locked(folder / ".lock"):
        if not _shadow_file(folder, view.rounds).exists():
            _train_shadows(view, config, seed, folder, progress)
    return ShadowView(view, folder)


def _train_shadows(view: Transcript, config: Config, seed: int, folder: Path, progress: Progress) -> None:
    f, public = config.federation, view.knowledge.public
    scheme = scheme_of(f)

    def bank(architecture: str, members: Sequence[str]) -> ModelBank:
        seed_of_shadows, device = derive_int(seed, "shadows"), choose_device(config.device)
        classes = view.knowledge.num_classes
        return bank_of(f, architecture, members, public.image_size, classes, seed_of_shadows, device)

    shadows = _Shadows(
        bank(f.model_of(0), [f"shadow-{k}" for k in range(SHADOWS)]), scheme, public, view.parties
    )
    progress.stage("shadows", view.rounds)
    scheme.begin(shadows, Server(bank(f.server_model, ["server"]), public))
    for round in range(1, view.rounds + 1):
        outputs = {f"shadow-{k}": logits for k, logits in enumerate(shadows.bank.predict_each(public.images))}
        for action in scheme.actions:
            sent = view.sent(action, round)
            if sent is not None and action != view.manifest.uploads.action:
                shadows.ask(action, round, sent)
        write_tensors(_shadow_file(folder, round), outputs)
        progress.advance(f"round {round} of {view.rounds}")


def _shadow_file(folder: Path, round: int) -> Path:
    return folder / f"round-{round:02d}.safetensors"


class _Shadows:
    """The channel to the server's own clients: they do every action as real ones would, with no private image."""

    def __init__(self, bank: ModelBank, scheme: Scheme, public: PublicData, clients: int) -> None:
        self.bank = bank
        self.clients = clients  # of the real federation: with one, a scheme leaves out what needs others
        self._scheme = scheme
        self._context = ClientContext(public)
        self._nothing = ClientData(public.images[:0], torch.empty(0, dtype=torch.int64))

    def ask(self, action: str, round: int, message: Payload | None = None) -> Mapping[int, Payload]:
        """Have all shadows do it; what they answer is not wanted."""
        count = len(self.bank)
        self._scheme.actions[action](
            self.bank, [self._nothing] * count, message or Payload(), self._context.at(round, range(count))
        )
        return {}

    def mean(self, action: str, round: int, average: Average, message: Payload | None = None) -> Tensor:
        """Have all shadows do it; their mean is not wanted."""
        self.ask(action, round, message)
        return torch.empty(0)
