"""Priors whose translator is trained by gradient descent: the loop, checkpoints, and weights that are kept.

In ``home/<prior>-<key>/``: ``checkpoint.safetensors`` while it trains, ``final.safetensors`` afterwards, and a
``samples-<step>.png`` beside each. The key stands for the public set, the settings and the seed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from logitleak.errors import UserError
from logitleak.files import model_state
from logitleak.files.lock import locked
from logitleak.files.storage import NAMES, TensorFile, write_tensors
from logitleak.machine import forecast
from logitleak.machine.forecast import Scale
from logitleak.models.base import initialize
from logitleak.priors.base import Listener, PriorSettings
from logitleak.priors.samples import write_samples
from logitleak.priors.translator import TranslatorPrior
from logitleak.types import Knowledge, LabelledPublicData

CHECKPOINT, FINAL = "checkpoint.safetensors", "final.safetensors"


class TrainedSettings(PriorSettings):
    """What every training has.

    Attributes:
        steps: optimizer steps in all.
        batch: images in a step.
        lr: Adam's learning rate.
        checkpoint_every: steps between checkpoints; results do not depend on it.
    """

    steps: PositiveInt
    batch: PositiveInt
    lr: PositiveFloat
    checkpoint_every: PositiveInt = 500


class Training(ABC):
    """Networks on their way.

    A step depends on its number, on `state`, and on nothing else: it derives its own random numbers. So a
    training that was killed and goes on gives the bits of one that was not.

    Attributes:
        networks: by name; every one has an optimizer.
        optimizers: one Adam for each network.
        memory: what else the next step depends on: tensors of fixed shapes, changed in place.
    """

    def __init__(self) -> None:
        self.networks: dict[str, nn.Module] = {}
        self.optimizers: dict[str, torch.optim.Adam] = {}
        self.memory: dict[str, Tensor] = {}

    @abstractmethod
    def step(self, step: int) -> Tensor:
        """Take step number ``step``, from 1; the loss that is shown, a scalar."""

    @abstractmethod
    def translator(self) -> nn.Module:
        """The network that is kept, with its present weights or the best so far; a prior's translates."""

    def add(
        self, name: str, network: nn.Module, lr: float, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        """Put a network under training with Adam."""
        self.networks[name] = network
        self.optimizers[name] = torch.optim.Adam(network.parameters(), lr=lr, betas=betas, fused=True)

    def update(self, loss: Tensor, *names: str) -> None:
        """Descend the loss by the parameters of these networks."""
        for name in names:
            self.optimizers[name].zero_grad(set_to_none=True)
        loss.backward()
        for name in names:
            self.optimizers[name].step()

    def set_lr(self, lr: float) -> None:
        """One learning rate for all networks from the next step on."""
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = lr

    def state(self) -> dict[str, Tensor]:
        """Weights, moments and memory; before the first step the moments are zeros."""
        table = {f"memory/{name}": value for name, value in self.memory.items()}
        for name, network in self.networks.items():
            table |= model_state.pack(name, network, self.optimizers[name], begun=True)
        return table

    def load_state(self, table: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        for name, value in self.memory.items():
            value.copy_(table[f"memory/{name}"])
        for name, network in self.networks.items():
            model_state.unpack(table, name, network, self.optimizers[name])


class TrainedPrior(TranslatorPrior):
    """A translator that is trained on the public set, once: with a `home` it goes on after an interruption, and
    a second `prepare` on the same public set loads the weights.

    A subclass writes `begin`.
    """

    settings: TrainedSettings

    @abstractmethod
    def begin(self, public: LabelledPublicData) -> Training:
        """Networks on ``self.device`` before their first step."""

    def training(self, scale: Scale, networks: Sequence[tuple[nn.Module, int]]) -> int:
        """Bytes of a training: each network with its moments, and its step on so many images.

        Args:
            scale: how large the images are.
            networks: bare ones, and the images in a step.
        """
        return sum(
            3 * forecast.weights(network) + forecast.step(network, batch, 3, scale.side, scale.side)
            for network, batch in networks
        )

    def steps_planned(self, knowledge: Knowledge) -> int:
        if self.home is None or knowledge.public.labels is None:
            return self.settings.steps
        return steps_left(self._folder(knowledge), self.settings.steps)

    def learn(self, knowledge: Knowledge) -> nn.Module:
        def show(path: Path, translator: nn.Module) -> None:
            write_samples(path, translator, knowledge, self.device)

        public = knowledge.public.labelled()
        return train(
            f"prior {self.name}",
            lambda: self.begin(public),
            self.settings,
            self._folder(knowledge),
            self.listener,
            show,
        )

    def _folder(self, knowledge: Knowledge) -> Path | None:
        """Where this training keeps what it leaves behind."""
        return (
            None if self.home is None else self.home / f"{self.name}-{self.key(knowledge.public.labelled())}"
        )


def steps_left(folder: Path | None, steps: int) -> int:
    """How many of the steps of a training with this folder are still to be taken."""
    if folder is None:
        return steps
    with locked(folder / ".lock"):
        if (folder / FINAL).exists():
            return 0
        checkpoint = folder / CHECKPOINT
        return steps - _step_of(checkpoint, steps) if checkpoint.exists() else steps


def train(
    name: str,
    begin: Callable[[], Training],
    settings: TrainedSettings,
    folder: Path | None,
    listener: Listener,
    show: Callable[[Path, nn.Module], None],
) -> nn.Module:
    """Train once: go on from a checkpoint, or load what a training that ended has left.

    Args:
        name: how errors call it.
        begin: networks before their first step.
        settings: how many steps, and how often a checkpoint is kept.
        folder: where they are kept, held meanwhile: whoever else needs the same weights waits, and finds them. None
            keeps nothing.
        listener: hears every step.
        show: paints a picture of how far it is, into this file.

    Returns:
        `Training.translator` after the last step.

    Raises:
        UserError: a loss is not finite, or what is kept is damaged.
    """
    with locked(folder / ".lock") if folder is not None else nullcontext():
        return _train(name, begin(), settings, folder, listener, show)


def _train(
    name: str,
    training: Training,
    settings: TrainedSettings,
    folder: Path | None,
    listener: Listener,
    show: Callable[[Path, nn.Module], None],
) -> nn.Module:
    if folder is not None and (folder / FINAL).exists():
        translator = training.translator()
        translator.load_state_dict(read_checked(folder / FINAL, translator.state_dict()))
        return translator
    done = 0 if folder is None else _resume(training, folder / CHECKPOINT, settings.steps)
    for step in range(done + 1, settings.steps + 1):
        loss = float(training.step(step))
        if not math.isfinite(loss):
            raise UserError(f"The loss of the {name} is not finite at step {step}; lower lr.")
        listener(step, loss)
        if folder is not None and step % settings.checkpoint_every == 0 and step < settings.steps:
            write_tensors(folder / CHECKPOINT, training.state() | {"step": torch.tensor(step)})
            show(folder / f"samples-{step}.png", training.translator())
    translator = training.translator()
    if folder is not None:
        show(folder / f"samples-{settings.steps}.png", translator)
        write_tensors(folder / FINAL, translator.state_dict())
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return translator


def _resume(training: Training, path: Path, steps: int) -> int:
    """Go back to the last checkpoint; its step, 0 where there is none."""
    if not path.exists():
        return 0
    step = _step_of(path, steps)
    training.load_state(read_checked(path, training.state()))
    return step


def read_checked(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file that must have the names, shapes and types of ``expected``; others are left out.

    Raises:
        UserError: it is damaged or does not fit; the message says to delete it. Nothing is read before its
            shape is known to fit, so a stranger's file cannot ask for memory.
    """
    file = _open(path)
    table = {}
    for name, like in expected.items():
        fits = name in file.names() and file.shape(name) == tuple(like.shape)
        if not fits or file.dtype(name) != NAMES[like.dtype]:
            raise UserError(f"{path} does not fit this prior; delete it to train again.")
        table[name] = file.read(name)
        if not bool(table[name].isfinite().all()):
            raise UserError(f"{path} holds numbers that are not finite; delete it to train again.")
    return table


def _step_of(path: Path, steps: int) -> int:
    step = int(read_checked(path, {"step": torch.tensor(0)})["step"])
    if not 0 < step < steps:
        raise UserError(f"{path} does not fit this prior; delete it to train again.")
    return step


def _open(path: Path) -> TensorFile:
    try:
        return TensorFile(path)
    except UserError:
        raise UserError(f"{path} is damaged or no safetensors file; delete it to train again.") from None


def build(
    make: Callable[[], nn.Module], generator: torch.Generator, spread: float | None = None
) -> nn.Module:
    """A network from one generator, without touching the global random state.

    Args:
        make: builds it; called on the "meta" device, so it must hold parameters only.
        spread: standard deviation of the weights of convolutions, whose biases are then zero; None for
            PyTorch's default.
    """
    with torch.device("meta"):
        network = make()
    network = initialize(network.to_empty(device="cpu"), generator)
    if spread is not None:
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, 0.0, spread, generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return network
