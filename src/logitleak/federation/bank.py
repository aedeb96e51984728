"""K models of one architecture, trained and queried together: the clients of a federation, or its server."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from logitleak import registry
from logitleak.errors import UserError
from logitleak.federation.batches import PREDICTED, cut, normalizes_batches, refuse_single_images
from logitleak.federation.companions import Companion, Companions
from logitleak.federation.optimization import Loss, Optimization, Targets
from logitleak.federation.stack import Stack, stackable
from logitleak.files import model_state
from logitleak.files.model_state import under
from logitleak.models import base, own
from logitleak.seeds import derive, derive_int

_BESIDE = "beside/"
"""What names of companions begin with in the table of a bank's state."""


class ModelBank:
    """K models with the same architecture and their optimizers' states. All results have a leading axis K.

    Args:
        architecture: a registered model name, or ``module:function``.
        image_size: height and width in pixels.
        num_classes: J.
        members: one name for each model, for example client numbers; a model's start depends on the seed,
            its member name and the architecture alone, so a bank of K equals K banks of one.
        optimization: how every ``fit`` trains.
        seed: the root seed.
        device: where the models live.
        dtype: float32, or float64 for exact comparisons.
        stacked: whether models that learn from equally many images make their steps as one stack, see `Stack`; by
            default on GPUs.
    """

    def __init__(
        self,
        architecture: str,
        image_size: tuple[int, int],
        num_classes: int,
        members: Sequence[str | int],
        optimization: Optimization,
        seed: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        stacked: bool | None = None,
    ) -> None:
        self.architecture = architecture
        self.image_size = image_size
        self.num_classes = num_classes
        self.changes = 0  # how often weights were given or learnt
        self.members = list(members)
        self.optimization = optimization
        self.seed = seed
        self.device = torch.device(device)
        self.dtype = dtype
        # a model of one's own may do whatever it likes, also what nobody can find out by trying
        registered = not registry.is_own(architecture)
        self.stacked = registered and (self.device.type != "cpu" if stacked is None else stacked)
        self.models: list[nn.Module] = []
        self.optimizers: list[torch.optim.Optimizer] = []
        for member in self.members:
            model = self.begun(architecture, member)
            self.models.append(model)
            self.optimizers.append(optimization.over(model))

        self._companions = Companions(self.members)
        self._normalizes = any(normalizes_batches(model) for model in self.models)
        for model in self.models[:1]:
            refuse_single_images(architecture, model, optimization.batch)

    def __len__(self) -> int:
        return len(self.models)

    def begun(self, architecture: str, member: str | int) -> nn.Module:
        """A model for these images and classes as it starts, where the others are: of the seed, the architecture and a
        name alone."""
        names = (self.seed, "init", architecture, member)
        if registry.is_own(architecture):
            start = derive_int(*names)
            made: nn.Module = own.build(architecture, self.image_size, self.num_classes, start, self.dtype)
        else:
            made = base.build(architecture, self.image_size, self.num_classes, derive(*names), self.dtype)
        placed: nn.Module = made.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed

    def beside(self, name: str, make: Callable[[str | int], Companion]) -> list[Companion]:
        """A model of each client beside its own, which learns with it and never travels; part of `state` once it was
        asked for. See `Companions.called`."""
        return self._companions.called(name, make)

    def has_beside(self, name: str) -> bool:
        """Whether `beside` was ever asked for these."""
        return self._companions.known(name)

    def refuse_too_few(self, counts: Sequence[int]) -> None:
        """Raise a `UserError` where one of the models would learn from a single image and could not.

        Args:
            counts: for each model how many images it learns from.
        """
        for member, count in zip(self.members, counts, strict=True):
            if count == 1 and self._normalizes:
                who = f"Client {member}" if isinstance(member, int) else f"The {member}"
                raise UserError(
                    f'{who} has a single image to learn from, of which BatchNorm in "{self.architecture}" has no '
                    "statistics; give it more images, or normalize by GroupNorm."
                )

    def fit(
        self,
        images: Sequence[Tensor],
        targets: Sequence[Targets],
        loss: Loss,
        epochs: int,
        purpose: Sequence[str | int],
        on_epoch: Callable[[int, int, float], None] | None = None,
    ) -> list[float]:
        """Train every model on its own data for some epochs of shuffled mini-batches.

        Args:
            images: K tensors uint8 [n_k, 3, H, W]; the same tensor may stand for several models.
            targets: for each model a tensor [n_k, ...], or a tuple of them, matched to ``loss``.
            loss: from the logits of a batch and its rows of every target tensor to a scalar.
            epochs: passes over each model's data; 0 trains nothing.
            purpose: names this training ("revisit", round); the order of images depends on it and on the
                member, not on the other models.
            on_epoch: called with (model index, epoch from 1, mean loss); not for a model without images.

        Returns:
            K mean losses of the last epoch over all images (nan where nothing was trained).

        Raises:
            UserError: a model normalizes batches and has a single image.
        """
        self.refuse_too_few([len(each) for each in images])
        self.changes += 1
        several = [wanted if isinstance(wanted, tuple) else (wanted,) for wanted in targets]
        resident = _Resident(self.device)
        x = [resident(each) for each in images]
        y = [[resident(target) for target in each] for each in several]
        orders = [derive(self.seed, "order", *purpose, member) for member in self.members]
        tell = on_epoch or _ignore
        equal = len({len(each) for each in x}) == 1 and len(x[0]) > 0
        if self.stacked and equal and epochs > 0 and stackable(self.models, self.optimizers, x[0][:2]):
            rough = torch.bfloat16 if self.optimization.precision == "bf16" else None
            stack = Stack(self.models, self.optimizers, loss, rough)
            return stack.fit(
                x,
                y,
                epochs,
                lambda order: cut(order, self.optimization.batch, self._normalizes),
                orders,
                tell,
            )
        losses = []
        for k, member in enumerate(self.members):
            mean = float("nan")
            with self.noise(*purpose, member):
                for epoch in range(1, epochs + 1) if len(x[k]) else ():  # who has nothing learns nothing
                    mean = self.epoch(k, x[k], y[k], loss, orders[k])
                    tell(k, epoch, mean)
            self.optimizers[k].zero_grad()  # a gradient is as large as the weights, and nobody waits for it
            losses.append(mean)
        return losses

    @contextmanager
    def noise(self, *names: str | int) -> Iterator[None]:
        """Seeds the global generator for layers that draw while they train, such as dropout in a model of one's own,
        and leaves it as it was."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(derive_int(self.seed, "noise", *names))
            yield

    def epoch(
        self, k: int, images: Tensor, targets: Sequence[Tensor], loss: Loss, generator: torch.Generator
    ) -> float:
        """One epoch of one model, whose images and targets are on its device; the mean loss over all images."""
        model, optimizer = self.models[k].train(), self.optimizers[k]
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        order = torch.randperm(len(images), generator=generator).to(self.device)
        for rows in cut(order, self.optimization.batch, self._normalizes):
            value = loss(self.logits(model, images[rows]), *(t[rows] for t in targets))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.detach() * len(rows)
        return float(total) / len(images)

    def logits(self, model: nn.Module, images: Tensor) -> Tensor:
        """What a model says of images in the precision of training, [b, J]."""
        rough = self.optimization.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=rough):
            logits: Tensor = model(images)
        return logits.to(self.dtype)

    def part(self, chosen: Sequence[int]) -> ModelBank:
        """Some of the models, by their places, as a bank that shares them: what it learns, they have learnt."""
        self.changes += 1
        part = copy.copy(self)
        part.members = [self.members[k] for k in chosen]
        part.models = [self.models[k] for k in chosen]
        part.optimizers = [self.optimizers[k] for k in chosen]
        part._companions = Companions(part.members, (self._companions, chosen))
        return part

    def optimized(self, optimization: Optimization) -> ModelBank:
        """The same models, to be trained in another way, by optimizers that know nothing of earlier steps; shared as in
        `part`."""
        same = self.part(range(len(self)))
        same.optimization = optimization
        same.optimizers = [optimization.over(model) for model in same.models]
        return same

    @torch.no_grad()
    def predict_each(self, images: Tensor, batch: int = PREDICTED) -> Iterator[Tensor]:
        """Logits [n, J] on the CPU of one model after the other, for images uint8 [n, 3, H, W]."""
        images = images.to(self.device)
        for k in range(len(self)):
            yield torch.cat(list(self.predict_parts(k, images, batch)))

    @torch.no_grad()
    def predict_parts(self, k: int, images: Tensor, batch: int = PREDICTED) -> Iterator[Tensor]:
        """Logits [b, J] on the CPU of one model, for images uint8 [n, 3, H, W], a batch at a time."""
        model = self.models[k].eval()
        if len(images) == 0:  # not every model takes an empty batch
            yield torch.empty(0, self.num_classes, dtype=self.dtype)
        for chunk in images.split(batch) if len(images) else ():
            yield model(chunk.to(self.device)).cpu()

    def predict(self, images: Tensor, batch: int = PREDICTED) -> Tensor:
        """Logits [K, n, J] of all models on the CPU, for images uint8 [n, 3, H, W]."""
        return torch.stack(list(self.predict_each(images, batch)))

    def weights(self, k: int) -> dict[str, Tensor]:
        """Copies of one model's parameters and buffers on the CPU, by name."""
        return {name: value.detach().cpu().clone() for name, value in self.models[k].state_dict().items()}

    def set_weights(self, k: int, weights: Mapping[str, Tensor]) -> None:
        """Give one model other parameters; its optimizer's state stays.

        Raises:
            RuntimeError: the names or shapes are those of another architecture.
        """
        self.changes += 1
        self.models[k].load_state_dict(dict(weights))

    def state(self) -> dict[str, Tensor]:
        """Weights, buffers and optimizer moments as a flat table of tensors, ready for safetensors, also of what is
        `beside`."""
        table = {_BESIDE + name: value for name, value in self._companions.state().items()}
        for member, model, optimizer in zip(self.members, self.models, self.optimizers, strict=True):
            table |= model_state.pack(str(member), model, optimizer)
        return table

    def load_state(self, table: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave.

        Raises:
            KeyError: a tensor of this bank is not in the table.
        """
        self.changes += 1
        self._companions.load_state(under(table, _BESIDE))
        for member, model, optimizer in zip(self.members, self.models, self.optimizers, strict=True):
            model_state.unpack(table, str(member), model, optimizer)


def _ignore(k: int, epoch: int, loss: float) -> None:
    return None


class _Resident:
    """Moves tensors to a device, each once: the public set stands for every client."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._moved: dict[int, Tensor] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        if id(tensor) not in self._moved:
            self._moved[id(tensor)] = tensor.to(self._device)
        return self._moved[id(tensor)]
