"""What a configuration makes: the scheme, how everybody trains, and banks of models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from logitleak import registry
from logitleak.config import FederationConfig
from logitleak.federation.bank import ModelBank, Optimization
from logitleak.federation.memo import Memo, RememberingBank
from logitleak.schemes.base import Scheme
from logitleak.wire.writer import check_action


def scheme_of(f: FederationConfig) -> Scheme:
    """The configured scheme, with its settings.

    Raises:
        UserError: an unknown name or setting, or an action whose messages cannot be kept.
    """
    scheme_class = registry.load("scheme", f.scheme)
    made: Scheme = scheme_class(registry.settings(f"scheme {f.scheme}", scheme_class.Settings, f.settings))
    for action in made.actions:
        check_action(action)
    return made


def optimization_of(f: FederationConfig, scheme: Scheme) -> Optimization:
    """How everybody trains."""
    return Optimization(f.lr, f.weight_decay, f.batch, scheme.optimizer, f.precision)


def bank_of(
    f: FederationConfig,
    architecture: str,
    members: Sequence[str | int],
    image_size: tuple[int, int],
    num_classes: int,
    seed: int,
    device: torch.device,
    memo: Memo | None = None,
) -> ModelBank:
    """Models of one architecture, trained as the federation trains.

    Args:
        f: the federation.
        architecture: a registered model name, or ``module:function``.
        members: their names; see `ModelBank`.
        image_size: height and width in pixels.
        num_classes: J.
        seed: the root seed.
        device: where the models live.
        memo: where models that learn from the public set alone are kept for other worlds; None for nowhere.
    """
    make = ModelBank if memo is None else partial(RememberingBank, memo=memo)
    optimization = optimization_of(f, scheme_of(f))
    return make(architecture, image_size, num_classes, members, optimization, seed, device)
