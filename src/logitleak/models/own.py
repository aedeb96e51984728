"""A classifier of the user's own, named ``module:function``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from logitleak import registry
from logitleak.errors import UserError
from logitleak.models.base import Classifier
from logitleak.text import printable


class Own(Classifier):
    """Wraps any module from float pixels [n, 3, H, W] in [0, 1] to logits [n, J]."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor) -> Tensor:
        if pixels.dtype == torch.uint8:
            dtype = next((p.dtype for p in self.parameters()), torch.float32)
            pixels = pixels.to(dtype).div(255)
        out: Tensor = self.module(pixels)
        return out

    def logits(self, x: Tensor) -> Tensor:
        return self.forward((x + 1) / 2)


def outline(name: str, image_size: tuple[int, int], num_classes: int) -> nn.Module:
    """A classifier by its name, to be looked at: with shapes alone where it is registered; the user's own is made.

    Raises:
        UserError: no model has this name, or the user's own cannot be built.
    """
    if registry.is_own(name):
        return build(name, image_size, num_classes, seed=0)
    with torch.device("meta"):  # nothing is allocated
        made: nn.Module = registry.load("model", name)(image_size, num_classes)
    return made


def build(
    name: str,
    image_size: tuple[int, int],
    num_classes: int,
    seed: int,
    dtype: torch.dtype = torch.float32,
) -> Classifier:
    """Call ``function(image_size, num_classes)``. Its weights are kept as it made them, so it may load trained ones;
    whatever it draws from the global generators, the CPU's and CUDA's, depends on ``seed`` alone and leaves them as
    they were.

    Raises:
        UserError: there is no such function, it fails, or what it returns is no classifier of J classes.
    """
    make = _find(name)
    started = torch.cuda.is_initialized()  # where it is not, nothing was drawn from it, and it need not start
    devices = range(torch.cuda.device_count()) if started else ()
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        try:
            made = make(image_size, num_classes)
        except Exception as error:
            raise UserError(f'The model "{name}" cannot be made: {_brief(error)}.') from error
    if not isinstance(made, nn.Module):
        raise UserError(f'The model "{name}" must return a torch.nn.Module, not {type(made).__name__}.')
    if not any(True for _ in made.parameters()):
        raise UserError(f'The model "{name}" has no parameters to train.')
    wrapped = (made if isinstance(made, Classifier) else Own(made)).to(dtype)
    _try(name, wrapped, image_size, num_classes)
    return wrapped


def _find(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    here = os.getcwd()
    if here not in sys.path:  # as `python -m` does; a console script looks elsewhere
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), function, None)
    except Exception as error:
        raise UserError(f'The model "{name}" cannot be imported: {_brief(error)}.') from error
    if not callable(found):
        raise UserError(
            f'The model "{name}" needs a function "{function}" in the module "{module}"; there is none.'
        )
    return found


def _try(name: str, model: Classifier, image_size: tuple[int, int], num_classes: int) -> None:
    """Ask for the logits of two images."""
    training = model.training
    try:
        with torch.no_grad():
            found = model.eval()(torch.zeros(2, 3, *image_size, dtype=torch.uint8))
    except Exception as error:
        raise UserError(
            f'The model "{name}" fails on float images [2, 3, {image_size[0]}, {image_size[1]}]: {_brief(error)}.'
        ) from error
    model.train(training)
    shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if shape != [2, num_classes]:
        raise UserError(
            f'The model "{name}" must return logits [n, {num_classes}]; for two images it gave {shape}.'
        )


def _brief(error: Exception) -> str:
    """An error in one line."""
    return (printable(str(error), 200) or type(error).__name__).rstrip(".")
