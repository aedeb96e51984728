"""Differentially private training: what one image, or one person, does to a step is bounded, and noised."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from logitleak.defenses.accounting import upward
from logitleak.defenses.base import DefenseSettings
from logitleak.defenses.dp_budget import check_opacus, has_opacus, noise_for, spent
from logitleak.defenses.dp_steps import clipped_sum, noise_on, shares_images, units_of
from logitleak.defenses.training import Lesson, TrainingDefense
from logitleak.errors import UserError

_SEEDS = 2**52


class DPSGDSettings(DefenseSettings):
    """Settings of private training. Either ``epsilon`` or ``noise`` is given; by default ε is 8.

    Attributes:
        unit: whose influence is bounded: one image, or one person, all of whose images are clipped together.
        clip: the largest L2 norm of a unit's gradient C; longer ones are scaled down to it.
        epsilon: ε of the whole run, for which each client finds its noise before it trains.
        noise: standard deviation of the noise on the sum of gradients, over ``clip``; 0 for clipping alone.
        delta: δ of the guarantee.
        accountant: how Opacus adds steps up: prv is tight, rdp quick.
    """

    unit: Literal["image", "person"] = "image"
    clip: float = Field(default=1.0, gt=0, le=1e6)
    epsilon: float | None = Field(default=8.0, gt=0, le=1e4)
    noise: float | None = Field(default=None, ge=0, le=1e4)
    delta: float = Field(default=1e-5, gt=0, lt=1)
    accountant: Literal["prv", "rdp"] = "prv"

    @model_validator(mode="before")
    @classmethod
    def _either(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("noise") is None:
            if isinstance(given, dict) and "epsilon" in given and given["epsilon"] is None:
                raise ValueError("give epsilon, or noise")
            return given
        if given.get("epsilon") is not None:
            raise ValueError("give epsilon or noise, not both: each says what the other is")
        return given | {"epsilon": None}


class DPSGD(TrainingDefense):
    """Private steps in place of the usual ones (Abadi et al., 2016), whenever the client learns its private images.

    In each of ⌈n/b⌉ steps of an epoch every unit is drawn with the chance q = min(1, b/n) by itself. The gradient of
    a drawn unit, the sum over its images, is scaled down to an L2 norm of at most C; to the sum of these comes Gaussian
    noise of standard deviation σC; that, over the expected number of images qn and never over the drawn one, is what
    the client's own optimizer gets. A step for which nobody was drawn is made of noise alone, and counts.

    Its ε is that of all steps of the run, by Opacus; gradients are taken without it. More steps than it was computed
    for are refused.
    """

    Settings = DPSGDSettings
    settings: DPSGDSettings
    strengths = ({"epsilon": 50.0}, {"epsilon": 8.0}, {"epsilon": 1.0})
    alone = True
    rehearsed: ClassVar[Mapping[str, Any]] = {"epsilon": None, "noise": 1.0}  # looking for σ may take minutes
    _steps = 0

    def check_installed(self) -> None:
        """Opacus is needed, also where it only says what noise is worth."""
        check_opacus()

    def check_model(self, name: str, model: nn.Module) -> None:
        """A layer that takes statistics over images has no gradient of one image."""
        if shares_images(model):
            raise UserError(
                f'dp-sgd bounds what one image does, and batch statistics in "{name}" mix images; normalize by '
                "GroupNorm, or leave dp-sgd out."
            )

    def epoch(self, lesson: Lesson) -> float:
        """See `DPSGD`. Returns the mean loss over all images after the epoch."""
        n, s = len(lesson.labels), self.settings
        rate, steps = min(1.0, lesson.batch / n), math.ceil(n / lesson.batch)
        noise = self.noise(n)
        self._count(steps, n)
        units = units_of(lesson.labels, s.unit)
        parameters = [p for p in lesson.model.parameters() if p.requires_grad]
        before = {name: value.clone() for name, value in lesson.model.named_buffers()}
        lesson.model.train()
        for _ in range(steps):
            drawn = (self.uniform(len(units)) < rate).tolist()
            seeds = (self.uniform(len(units)) * _SEEDS).long().tolist()
            chosen = [(unit, seed) for unit, seed, taken in zip(units, seeds, drawn, strict=True) if taken]
            total = clipped_sum(parameters, _losses(lesson, chosen), s.clip)
            noise_on(total, noise * s.clip, self.uniform)
            for parameter, gradient in zip(parameters, total, strict=True):
                parameter.grad = gradient / (rate * n)
            lesson.optimizer.step()
        loss = lesson.mean_loss(lesson.images, lesson.labels)
        _refuse_changes(lesson.model, before)
        return loss

    def noise(self, images: int) -> float:
        """The noise multiplier σ of a client with so many images: as it was set, or as ε asks for.

        Raises:
            ValueError: ε asks for it, and nobody has said how long the client trains.
        """
        s = self.settings
        if s.epsilon is None:
            return s.noise or 0.0
        if self.schedule is None:
            raise ValueError("without a schedule nobody knows how much noise ε asks for")
        rate, steps = self._plan(images)
        return noise_for(s.epsilon, rate, steps, s.delta, s.accountant) if steps else 0.0

    def spent(self, images: int) -> float:
        """ε of the whole run at a client with so many images, or a number just above it; infinite without noise.

        Raises:
            ValueError: nobody has said how long it trains.
        """
        noise = self.noise(images)
        rate, steps = self._plan(images)
        if steps == 0:
            return 0.0
        s = self.settings
        return spent(noise, rate, steps, s.delta, s.accountant) if noise > 0 else math.inf

    def sees(self) -> str:
        s = self.settings
        noise = "without noise" if s.noise == 0 else "with noise"
        return (
            f"Outputs of a model that learnt private images by clipped gradients of each {s.unit}, {noise}."
        )

    def guarantee(self, rows: int, rounds: int) -> str:
        s = self.settings
        if s.noise == 0:
            return "none"
        which = "an image" if s.unit == "image" else "a person"
        more = "one image" if s.unit == "image" else "all images of one person"
        return (
            f"(ε, δ)-differential privacy of everything that leaves the client, {self._epsilon()} and δ = {s.delta:g}, "
            f"over {rounds} rounds and all phases that learn private images. Unit {which}, adjacency {more} of this "
            "client more or less; how many images it has counts as public"
        )

    def state(self) -> dict[str, Tensor]:
        return {"steps": torch.tensor(self._steps)}

    def load_state(self, table: dict[str, Tensor]) -> None:
        self._steps = int(table.get("steps", 0))

    def _epsilon(self) -> str:
        s = self.settings
        if s.epsilon is not None:
            return f"at ε = {s.epsilon:g}, for which each client finds its noise,"
        if self.schedule is None or not self.schedule.images or not has_opacus():
            return f"at an ε = ε(n) of noise {s.noise:g}, which depends on the number n of a client's images,"
        largest = max(self.spent(images) for images in self.schedule.images)
        return f"at ε = {upward(largest)}, of noise {s.noise:g} at the client where it is worth least,"

    def _plan(self, images: int) -> tuple[float, int]:
        """With which chance a unit is in a step, and how many steps there are in the whole run."""
        if self.schedule is None:
            raise ValueError("nobody has said how long the client trains")
        if images == 0:
            return 0.0, 0
        batch = self.schedule.batch
        return min(1.0, batch / images), self.schedule.epochs * math.ceil(images / batch)

    def _count(self, steps: int, images: int) -> None:
        self._steps += steps
        if self.schedule is not None and self._steps > self._plan(images)[1]:
            raise UserError(
                f"dp-sgd: this client was asked to learn its private images for more than {self.schedule.epochs} "
                "epochs, for which its ε was computed; it does not."
            )


def _losses(lesson: Lesson, chosen: Sequence[tuple[Tensor, int]]) -> Iterator[Tensor]:
    """The loss of each drawn unit, summed over its images. Layers that draw, such as dropout, get a seed for each unit:
    numbers that depended on who else is drawn would tell of it."""
    for rows, seed in chosen:
        torch.manual_seed(seed)
        yield F.cross_entropy(lesson.logits(lesson.images[rows]), lesson.labels[rows], reduction="sum")


def _refuse_changes(model: nn.Module, before: dict[str, Tensor]) -> None:
    """Whatever a model keeps of images beside its weights has no noise on it."""
    for name, value in model.named_buffers():
        if not torch.equal(value, before[name]):
            raise UserError(
                f"dp-sgd: the model changes its buffer {name} while it learns, which nothing bounds; use a model that "
                "keeps nothing but weights."
            )
