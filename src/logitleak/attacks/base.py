"""What an attack is, and the checks that every attack goes through before it computes anything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from logitleak import registry
from logitleak.attacks.selection import select
from logitleak.errors import UserError
from logitleak.files.finite import all_finite
from logitleak.machine.forecast import Scale, Work
from logitleak.metrics.ssim import WINDOW
from logitleak.priors.base import Prior
from logitleak.priors.domains import mean_image
from logitleak.strict import Strict
from logitleak.types import Reconstructions, ServerView

Listener = Callable[[int, int | None, int, float], None]
"""(round, client, step, loss)."""

MEANING = {
    "logits": "the clients' outputs on the public set",
    "gradients": "the clients' gradients or weights",
    "server_logits": "the server's own outputs on the public set",
    "labels": "labels of the public set",
    "shadows": "clients that the server trains by itself",
    "generated": "images that a participant has made (the scheme fedavg-gan)",
}
"""What a view may provide, in words."""


class AttackSettings(Strict):
    """Hyper-parameters that every attack has.

    Attributes:
        beta: weight of total variation in the choice among clients, Eq. 11.
    """

    beta: NonNegativeFloat = 0.1


@dataclass
class Trace:
    """What an attack tells about itself besides images: losses, and what it chose without being told."""

    losses: list[dict[str, float | int]] = field(default_factory=list)
    choices: dict[str, Any] = field(default_factory=dict)


class Attack(ABC):
    """Rebuilds the private images of every target label from a server's view.

    A subclass writes `observe` and `reconstruct_client`. `replay` owns everything around them: what the view must
    have, clients of whom nothing is known, whether what comes out is images, and the choice of Eq. 11.

    Args:
        settings: an instance of the class's ``Settings``.
        prior: the prior x̄; attacks that use none ignore it.
        seed: the attacks' seed, never a run's root seed; an attack derives its generators from it.
        device: where it computes.

    Attributes:
        Settings: the pydantic model of its hyper-parameters.
        needs: what the view must provide, of {"logits", "gradients", "server_logits", "labels",
            "shadows", "generated"}.
        kind: "attack", or "baseline" for what attacks are compared with.
        looks_back: whether what it rebuilds after a round is the same if it has not observed the rounds before.
        compares_clients: whether one client's reconstructions depend on what other clients sent.
        assumptions: what it supposes the server to know, in sentences.
        tunable: settings that can be chosen on public data, in the order of choice: each step is a grid over the
            candidates of one setting or of several. `choices` gives them; override it where they depend on the view.
        tuned_by_default: whether mock twins choose settings where the user gave none. It is for attacks that are cheap
            to try and whose shipped settings say little of another federation.
        besides: what takes time once, whatever `work` says, in words.
    """

    Settings: ClassVar[type[AttackSettings]] = AttackSettings
    needs: frozenset[str] = frozenset({"logits"})
    kind: ClassVar[str] = "attack"
    looks_back: ClassVar[bool] = False
    compares_clients: bool = False
    assumptions: tuple[str, ...] = ("The server knows which labels are private targets.",)
    tunable: ClassVar[Sequence[Mapping[str, Sequence[Any]]]] = ()
    tuned_by_default: ClassVar[bool] = False
    besides: ClassVar[Sequence[str]] = ()

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        self.settings = settings
        self.prior = prior
        self.seed = seed
        self.device = torch.device(device)
        self.trace = Trace()
        self.unheard: set[int] = set()  # clients of whom nothing is known so far; `replay` keeps it
        self.listener: Listener = lambda round, client, step, loss: None

    @abstractmethod
    def observe(self, view: ServerView, round: int) -> None:
        """Learn from one more round."""

    @abstractmethod
    def reconstruct_client(self, view: ServerView, client: int) -> Tensor | None:
        """This client's reconstruction of every target, float32 [T, 3, H, W] in [0, 1], after the last
        observed round; None where nothing usable came from this client yet. Then, and for numbers that are not finite,
        `replay` claims nothing but the mean sensitive public image, and never chooses it where anybody was heard."""

    def choose(self, images: Tensor, labels: Tensor) -> Reconstructions:
        """Choose among the clients' images [K, T, 3, H, W]: Eq. 11 unless the attack knows better."""
        return select(images, labels, self.settings.beta, self.unheard)

    @classmethod
    def choices(cls, clients: int, rounds: int) -> Sequence[Mapping[str, Sequence[Any]]]:
        """What can be tuned on a view of so many clients and rounds; see ``tunable``."""
        return cls.tunable

    @property
    def uses_prior(self) -> bool:
        """Whether the prior has any weight with these settings."""
        return False

    def state(self) -> dict[str, Tensor]:
        """What must be kept between rounds to go on after an interruption; empty if nothing."""
        return {}

    def load_state(self, table: Mapping[str, Tensor], view: ServerView) -> None:
        """Take back what `state` gave."""
        return None

    def steps_planned(self, view: ServerView) -> int:
        """How often the listener will be called in one round, for the progress bar."""
        return view.clients

    def memory(self, scale: Scale) -> int:
        """About how many bytes it holds at most, besides the public set, for `logitleak validate`.

        This is what all attacks hold: uploads as they are read, and all clients' images while Eq. 11 compares them.
        """
        images = scale.clients * scale.targets * scale.image
        return 4 * scale.outputs + 3 * images

    def work(self, scale: Scale, rounds: Sequence[int]) -> Sequence[Work] | None:
        """What takes its time while it observes some rounds and reconstructs after each, for `logitleak validate`; its
        prior's training not counted. None, the default, says that nobody can tell.

        Args:
            scale: how large the federation is.
            rounds: numbers of the rounds, ascending; one that looks back may be asked for the last one alone.
        """
        return None

    def replay(self, view: ServerView, after: int = 0) -> Iterator[tuple[int, Reconstructions]]:
        """Observe round after round, and reconstruct after each.

        Args:
            view: the server's view.
            after: rounds that were observed before (with `load_state`).

        Yields:
            (round, reconstructions) for every round after ``after``.

        Raises:
            UserError: the view has not what this attack needs, or the attack gives something else than images.
        """
        self.check(view)
        for round in range(after + 1, view.rounds + 1):
            self.observe(view, round)
            images = torch.stack([self._images_of(view, client, round) for client in range(view.clients)])
            yield round, self.choose(images, view.knowledge.target_labels)

    def _images_of(self, view: ServerView, client: int, round: int) -> Tensor:
        """What `reconstruct_client` gives, if it is what it should be; the mean image where it gives nothing."""
        found = self.reconstruct_client(view, client)
        shape = (len(view.knowledge.target_labels), *view.knowledge.public.images.shape[1:])
        fault = None if found is None else _fault(found, shape)
        if fault is not None:
            raise UserError(_refusal(self, fault, round, client))
        if found is not None and all_finite(found):
            if found.numel() and (float(found.min()) < 0 or float(found.max()) > 1):
                raise UserError(_refusal(self, "gives pixels outside [0, 1]", round, client))
            self.unheard.discard(client)
            return found
        self.unheard.add(client)
        self.note("rounds without rows" if found is None else "not finite", round, client)
        public = view.knowledge.public
        return mean_image(public, public.rows("sensitive")).expand(shape).clone()

    def note(self, what: str, round: int, client: int) -> None:
        """Write down, once, what is wrong with a client's answer of a round."""
        entry = {"round": round, "client": client}
        listed = self.trace.choices.setdefault(what, [])
        if entry not in listed:
            listed.append(entry)

    def last(self, view: ServerView) -> Reconstructions:
        """What the attack rebuilds after the last round; earlier ones are looked at only if it learns from them in
        turn.

        Raises:
            UserError: the view has not what this attack needs.
        """
        *_, (_, result) = self.replay(view, after=view.rounds - 1 if self.looks_back else 0)
        return result

    def check(self, view: ServerView) -> None:
        """Raise a `UserError` unless the view has what this attack and its prior need."""
        self.check_provided(view.provides, "This attack", "the transcript")
        self.check_clients(view.clients)
        if self.uses_prior:
            self.prior.check(view.knowledge)
        public = view.knowledge.public
        counts = {which: len(public.rows(which)) for which in ("sensitive", "all")}
        self.check_public(public.image_size, counts)

    def check_provided(self, provides: frozenset[str], who: str, where: str) -> None:
        """Raise a `UserError` unless this much is enough for the attack and its prior.

        Args:
            provides: see `ServerView.provides`.
            who, where: how the message calls the attack, and where it looks.
        """
        for need in sorted(self.needs - provides):
            raise UserError(f"{who} needs {MEANING[need]}; {where} has none.")
        if self.uses_prior and self.prior.needs_labels and "labels" not in provides:
            raise UserError(
                f"{who} has a prior that needs labels of the public set, and {where} has none; "
                'use the prior "mean" (Eq. 8).'
            )

    def check_clients(self, clients: int) -> None:
        """Raise a `UserError` unless this attack can work with so many clients; 1 where their sum alone is seen."""
        if clients < 1:
            raise UserError("An attack needs at least one client.")

    def check_public(self, image_size: tuple[int, int], counts: Mapping[str, int]) -> None:
        """Raise a `UserError` unless the public set is of a size that this attack can use.

        Args:
            image_size: height and width in pixels.
            counts: public images that are "sensitive" (D_0), and "all".
        """
        if min(image_size) == 0:
            raise UserError("This public set holds no images, and a reconstruction needs them.")
        if min(image_size) < WINDOW:
            height, width = image_size
            raise UserError(f"Images must be at least {WINDOW}x{WINDOW} pixels, not {height}x{width}.")
        if counts["sensitive"] < 2:
            raise UserError(
                "An attack needs at least two sensitive public images (D_0) of non-target identities; "
                "choose fewer targets."
            )


def _fault(found: Tensor, shape: tuple[int, ...]) -> str | None:
    """Why a tensor has not the shape and type of the images that it should be; None if it has."""
    if not isinstance(found, Tensor) or tuple(found.shape) != shape:
        given = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        return f"gives {given} and not images of shape {shape}"
    if found.dtype != torch.float32:
        return f"gives numbers of type {str(found.dtype).removeprefix('torch.')} and not float32"
    return None


def _refusal(attack: Attack, fault: str, round: int, client: int) -> str:
    name = type(attack).__name__
    return f"The attack {name} {fault} in round {round} for client {client}; see Attack.reconstruct_client."


def create(
    attack: str,
    settings: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    prior: str = "mean",
    prior_settings: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
    home: Path | None = None,
) -> Attack:
    """Build a registered attack with its prior.

    Args:
        attack, settings: its name, and what differs from its defaults.
        seed: of attack and prior.
        prior, prior_settings: as for the attack.
        device: where both compute.
        home: where a prior that learns keeps its weights; None keeps nothing.

    Raises:
        UserError: an unknown name or setting, or a value out of range.
    """
    attack_class, prior_class = registry.load("attack", attack), registry.load("prior", prior)
    parsed = registry.settings(f"attack {attack}", attack_class.Settings, settings or {})
    parsed_prior = registry.settings(f"prior {prior}", prior_class.Settings, prior_settings or {})
    made_prior: Prior = prior_class(parsed_prior, seed, device, home)
    made: Attack = attack_class(parsed, made_prior, seed, device)
    return made
