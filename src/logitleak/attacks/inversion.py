"""Training of inversion networks, one for each client, round after round: what PLI and TBI share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from logitleak.attacks import networks, rehearsal
from logitleak.attacks.base import Attack, AttackSettings
from logitleak.attacks.examples import Examples, PriorPull, batches, batches_per_epoch, to_network_range
from logitleak.attacks.features import Q, input_width, public_inputs
from logitleak.errors import UserError
from logitleak.files import model_state
from logitleak.machine import forecast
from logitleak.machine.forecast import Scale, Work
from logitleak.priors.base import Prior
from logitleak.seeds import derive
from logitleak.sides import SIDES
from logitleak.types import Domain, ServerView

TARGET_GROUP = 64
"""Targets in one optimizer step of Eq. 10."""


class InversionSettings(AttackSettings):
    """How inversion networks are trained; the defaults are the paper's.

    Attributes:
        tau: softmax temperature τ.
        width: channels of the first layer (1024 in the paper).
        lr, weight_decay, batch: Adam.
        epochs: passes over the public images in each round.
        steps: optimizer steps in each round instead of epochs. The paper's 15 epochs are meant for
            thousands of public images; with few images count steps. Where the server asks for some rows only
            (FedGEMS), a round has so many fewer steps as it has fewer rows, just as epochs are then shorter:
            the same number of steps on a handful of images would fit those, and the prior, instead.
        precision: "float32", or "bf16" for products and convolutions in bfloat16 with weights, sums and the
            optimizer in float32 (autocast). Faster on GPUs and on CPUs that compute in bfloat16, slower on others.
    """

    tau: PositiveFloat = 3.0
    width: PositiveInt = Field(default=1024, multiple_of=16, le=16384)
    lr: PositiveFloat = 3e-5
    weight_decay: NonNegativeFloat = 1e-4
    batch: PositiveInt = Field(default=8, ge=2)
    epochs: PositiveInt = 3
    steps: PositiveInt | None = None
    precision: Literal["float32", "bf16"] = "float32"


class NetworkInversion(Attack):
    """One inversion network for each client, trained on public images and going on over the rounds.

    Subclasses say which rows of the public set they train on, what is fed, and what target inputs are.
    """

    Settings = InversionSettings
    settings: InversionSettings
    q: Q
    gamma: float = 0.0
    prior_step: str = "each-epoch"
    rows: Domain

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self.networks: list[networks.InversionNetwork] = []
        self.optimizers: list[torch.optim.Adam] = []

    @abstractmethod
    def target_inputs(self, view: ServerView) -> Tensor:
        """What is fed to rebuild each target, float32 [T, width]."""

    def check_public(self, image_size: tuple[int, int], counts: Mapping[str, int]) -> None:
        super().check_public(image_size, counts)
        height, width = image_size
        if height != width or height not in SIDES:
            sides = ", ".join(map(str, SIDES))
            raise UserError(
                f"Inversion networks make square images of side {sides}, not {height}x{width}; "
                "prepare the data with another image_size."
            )
        rows = counts[self.rows]
        if rows < self.settings.batch:
            raise UserError(
                f"batch is {self.settings.batch}, but there are only {rows} public images to train on; "
                "choose a smaller batch or fewer targets."
            )

    def observe(self, view: ServerView, round: int) -> None:
        self._prepare(view)
        wanted, pull = view.knowledge.public.rows(self.rows), self._pull(view)
        pixels = view.knowledge.public.images.to(self.device)
        for client in range(view.clients):
            rows, inputs = public_inputs(view, client, round, self.settings.tau, self.q, wanted)
            if len(rows) < 2:  # the server asked for less (FedGEMS), or the client was absent: nothing new
                self.note("rounds without rows", round, client)
                continue
            priors, steps = self._priors(view, rows), self._steps(len(rows), len(wanted))
            examples = Examples(inputs.to(self.device), pixels, rows.to(self.device), priors)
            self._train(client, round, examples, pull, steps)

    @property
    def uses_prior(self) -> bool:
        return self.gamma > 0

    @torch.no_grad()
    def reconstruct_client(self, view: ServerView, client: int) -> Tensor | None:
        if not self.optimizers[client].state:  # its network has learnt nothing
            return None
        network = self.networks[client].eval()
        images = self._images(network, self.target_inputs(view).to(self.device))
        return images.add(1).div(2).clamp(0, 1).cpu()

    def steps_planned(self, view: ServerView) -> int:
        images = len(view.knowledge.public.rows(self.rows))
        return view.clients * self._steps(images, images)

    def memory(self, scale: Scale) -> int:
        """See `Attack.memory`: one network with Adam's moments for each client, and a step of one of them."""
        width = input_width(self.q, scale.classes)
        network = forecast.bare(lambda: networks.InversionNetwork(width, scale.side, self.settings.width))
        inputs = 3 * self._rows_of(scale) * width * forecast.FLOAT
        step = forecast.step(network, max(self.settings.batch, min(scale.targets, TARGET_GROUP)), width)
        return super().memory(scale) + scale.clients * 3 * forecast.weights(network) + step + inputs

    def work(self, scale: Scale, rounds: Sequence[int]) -> Sequence[Work]:
        """See `Attack.work`: steps of one network for each client, and the choice among clients."""
        s, width, images = self.settings, input_width(self.q, scale.classes), self._rows_of(scale)
        steps = self._steps(images, images)

        def network() -> networks.InversionNetwork:
            return networks.build(width, scale.side, s.width, derive(self.seed, "rehearsal"))

        replays, rough = scale.clients * len(rounds), s.precision == "bf16"
        found = [rehearsal.training("step", network, s.batch, width, self.device, rough, replays * steps)]
        if self.uses_prior and self.prior_step != "never":
            groups = math.ceil(scale.targets / TARGET_GROUP)
            pulls = replays * math.ceil(steps / max(1, batches_per_epoch(images, s.batch))) * groups
            group = max(2, math.ceil(scale.targets / groups))
            found.append(rehearsal.training("pull", network, group, width, self.device, rough, pulls))
        return [*found, rehearsal.choosing(scale, s.beta, len(rounds))]

    def _rows_of(self, scale: Scale) -> int:
        return scale.public if self.rows == "all" else scale.sensitive

    def state(self) -> dict[str, Tensor]:
        table: dict[str, Tensor] = {}
        for k, (network, optimizer) in enumerate(zip(self.networks, self.optimizers, strict=True)):
            table |= model_state.pack(str(k), network, optimizer)
        return table

    def load_state(self, table: Mapping[str, Tensor], view: ServerView) -> None:
        self._prepare(view)
        for k, (network, optimizer) in enumerate(zip(self.networks, self.optimizers, strict=True)):
            model_state.unpack(table, str(k), network, optimizer)

    def _prepare(self, view: ServerView) -> None:
        """Create the networks at the first round."""
        if self.networks:
            return
        s = self.settings
        side = view.knowledge.public.image_size[0]
        inputs = input_width(self.q, view.knowledge.num_classes)
        for client in range(view.clients):
            generator = derive(self.seed, "inversion", type(self).__name__, "init", client)
            network = networks.build(inputs, side, s.width, generator).to(self.device)
            self.networks.append(network)
            adam = torch.optim.Adam(network.parameters(), lr=s.lr, weight_decay=s.weight_decay, fused=True)
            self.optimizers.append(adam)

    def _priors(self, view: ServerView, rows: Tensor) -> tuple[Tensor, Tensor] | None:
        """The prior x̄_i of each training image, see `Examples`."""
        if not self.uses_prior:
            return None
        images, place = self.prior.estimate_rows(view.knowledge, rows)
        return to_network_range(images).to(self.device), place.to(self.device)

    def _pull(self, view: ServerView) -> PriorPull | None:
        if not self.uses_prior or self.prior_step == "never":
            return None
        priors = to_network_range(self.prior.estimate(view.knowledge, view.knowledge.target_labels))
        return PriorPull(self.target_inputs(view).to(self.device), priors.to(self.device))

    def _steps(self, images: int, wanted: int) -> int:
        """Steps of a round in which so many of the wanted images were transmitted."""
        if self.settings.steps is None:
            return self.settings.epochs * batches_per_epoch(images, self.settings.batch)
        return max(1, round(self.settings.steps * images / wanted))

    def _images(self, network: networks.InversionNetwork, inputs: Tensor) -> Tensor:
        """The network's images float32 [n, 3, H, W] in [−1, 1], computed in the precision of the settings."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            images: Tensor = network(inputs)
        return images.float()

    def _train(self, client: int, round: int, examples: Examples, pull: PriorPull | None, steps: int) -> None:
        """One round of Eq. 3, with Eq. 10 after every epoch or at the end of the round."""
        network, optimizer = self.networks[client].train(), self.optimizers[client]
        generator = derive(self.seed, "inversion", type(self).__name__, "order", client, round)
        per_epoch = batches_per_epoch(len(examples), self.settings.batch)
        epochs_done, total, counted = 0, torch.zeros((), device=self.device), 0
        mini_batches = batches(len(examples), self.settings.batch, steps, generator, self.device)
        for step, rows in enumerate(mini_batches, start=1):
            output = self._images(network, examples.inputs[rows])
            loss = inversion_loss(output, examples.images(rows), examples.wanted(rows), self.gamma)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
            counted += 1
            self.listener(round, client, step, float("nan"))
            if step % per_epoch == 0 or step == steps:
                epochs_done += 1
                if pull is not None and self.prior_step == "each-epoch":
                    self._pull_to_prior(network, optimizer, pull)
                if not math.isfinite(float(total)):
                    raise UserError(f"The inversion loss of client {client} is not finite; lower lr.")
                record = {"round": round, "client": client, "step": step, "loss": float(total) / counted}
                self.trace.losses.append(record)
                total.zero_()
                counted = 0
        if pull is not None and self.prior_step == "end":
            network.eval()  # batch statistics stay those of the public images
            for _ in range(epochs_done):
                self._pull_to_prior(network, optimizer, pull)
        optimizer.zero_grad()  # K networks are kept: their gradients need not be

    def _pull_to_prior(
        self, network: networks.InversionNetwork, optimizer: torch.optim.Adam, pull: PriorPull
    ) -> None:
        """Eq. 10: one optimizer step for each group of at most 64 targets."""
        groups = math.ceil(len(pull.inputs) / TARGET_GROUP)  # nearly equal ones: none is left with one target
        training = network.training
        network.train(training and len(pull.inputs) > 1)  # a single vector has no batch statistics
        for inputs, priors in zip(
            pull.inputs.tensor_split(groups), pull.priors.tensor_split(groups), strict=True
        ):
            loss = self.gamma * F.mse_loss(self._images(network, inputs), priors)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.train(training)


def inversion_loss(output: Tensor, images: Tensor, priors: Tensor | None, gamma: float) -> Tensor:
    """Eq. 3 with mean squared errors for the norms: ‖G − x‖ + γ ‖G − x̄‖; Eq. 2 where there is no prior."""
    loss = F.mse_loss(output, images)
    return loss if priors is None else loss + gamma * F.mse_loss(output, priors)
