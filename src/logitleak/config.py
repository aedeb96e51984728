"""The configuration of a run: YAML into validated, frozen models, with dotted overrides and content hashes."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from logitleak import registry
from logitleak.errors import UserError, did_you_mean
from logitleak.overrides import by_name, parse_override, set_value
from logitleak.text import printable

_RIVALS = ("prior", "public-mean")
"""Names that evaluation gives to its trivial rivals."""


Tuning = Literal["none", "public", "mock-targets"]
"""How the settings of an attack that are not given are chosen."""


class Section(BaseModel):
    """A part of a configuration: nothing unknown in it, and nothing that changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _expanded(path: Any) -> Any:
    return os.path.expanduser(os.path.expandvars(path)) if isinstance(path, str) else path


class DataConfig(Section):
    """What the private and public images are, and how they are divided.

    Attributes:
        source: a registered data source; ``settings`` are its own.
        root: the data set's folder; null for what ships with the tool. ``~`` and environment variables such as
            ``$LFW`` are put in.
        image_size: side of the square images in pixels.
        protocol: "domain-pair" (LAG, LFW: one domain of the targets is private, the other public) or
            "half-degraded" (FaceScrub, AT&T: half of each person's images are degraded and public).
        degradation: makes the insensitive domain where the source has none; required by "half-degraded".
        identities: how many people, those with most images first; null for all.
        min_images: people with fewer sensitive images are left out.
        max_images: at most so many images of a person in each domain; null for all.
        targets: how many people are private.
        held_out: share of each person's sensitive images kept back for measuring utility.
        disjoint: with a degradation and "domain-pair": a target's public images come from other photos than
            the private ones.
        clean_public: with "half-degraded": images of non-targets all stay clean.
        labelled: whether the public set comes with labels; false leaves the schemes that need none (DS-FL,
            which never looks at them).
    """

    source: str = "synthetic"
    settings: dict[str, Any] = Field(default_factory=dict)
    root: Annotated[Path | None, BeforeValidator(_expanded)] = None
    image_size: int = Field(default=64, ge=16, le=256)
    protocol: Literal["domain-pair", "half-degraded"] = "domain-pair"
    degradation: str | None = None
    degradation_settings: dict[str, Any] = Field(default_factory=dict)
    identities: PositiveInt | None = None
    min_images: PositiveInt = 1
    max_images: PositiveInt | None = None
    targets: PositiveInt = 20
    held_out: float = Field(default=0.1, ge=0, le=0.5)
    disjoint: bool = False
    clean_public: bool = False
    labelled: bool = True


class FederationConfig(Section):
    """Who takes part, and how everybody trains.

    Attributes:
        scheme: a registered scheme; ``settings`` are its own.
        clients: K.
        rounds: T.
        models: architectures of the clients, dealt out in turn: registered names, or ``module:function`` for a
            model of one's own.
        server_model: the architecture of f_0.
        lr, weight_decay, batch: mini-batch Adam of every classifier.
        precision: "float32", or "bf16" to train classifiers with products in bfloat16.
    """

    scheme: str = "fedmd"
    settings: dict[str, Any] = Field(default_factory=dict)
    clients: PositiveInt = 1
    rounds: PositiveInt = 5
    models: list[str] = Field(default=["cnn"], min_length=1)
    server_model: str = "cnn"
    lr: PositiveFloat = 1e-3
    weight_decay: float = Field(default=1e-4, ge=0)
    batch: PositiveInt = 64
    precision: Literal["float32", "bf16"] = "float32"

    def model_of(self, client: int) -> str:
        """The architecture of a client."""
        return self.models[client % len(self.models)]


class GameConfig(Section):
    """Who takes part, so that what private images change can be told from what anybody can guess.

    Attributes:
        design: "twins": the federation runs in several worlds, and every target takes part in half of them. "decoys":
            it runs once, and some targets are withheld. "none": everybody takes part, and no leak can be told.
        worlds: with "twins": how many worlds, an even number; more than two narrow the interval.
        share: with "decoys": the probability that a target is withheld.
    """

    design: Literal["none", "twins", "decoys"] = "none"
    worlds: PositiveInt = Field(default=2, multiple_of=2)
    share: float = Field(default=0.5, gt=0, lt=1)

    @property
    def simulations(self) -> int:
        """How often the federation runs."""
        return self.worlds if self.design == "twins" else 1


class AttackConfig(Section):
    """One attack; an entry of ``attacks`` may be called anything.

    Attributes:
        attack: a registered attack.
        settings: its own settings.
        prior: a registered prior; ``prior_settings`` are its own.
        tune: how settings that are not given are chosen, from public data alone. "public": by what they leak on mock
            twins, a federation that the server plays by itself. "mock-targets": by the paper's attack accuracy on
            public people who are held out. "none" leaves the defaults.
        view: "clients": the server sees each client's upload. "sum": it sees their mean only, as behind a secure sum.
    """

    attack: str
    settings: dict[str, Any] = Field(default_factory=dict)
    prior: str = "mean"
    prior_settings: dict[str, Any] = Field(default_factory=dict)
    tune: Tuning = "none"
    view: Literal["clients", "sum"] = "clients"


class Attacked(Section):
    """What every run has, wherever its federation is from.

    Attributes:
        primary: the attack that the verdict rests on, named before anybody looks at the truth; null for the first
            `gap` among the attacks, or else the first attack.
    """

    seed: NonNegativeInt = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    attacks: dict[str, AttackConfig] = Field(default_factory=dict)
    primary: str | None = None

    @property
    def headline(self) -> str | None:
        """The attack that the verdict rests on; None where there is no attack."""
        if self.primary in self.attacks:
            return self.primary
        return next(
            (name for name, entry in self.attacks.items() if entry.attack == "gap"),
            next(iter(self.attacks), None),
        )

    def hash(self) -> str:
        """Content hash of the whole configuration."""
        return _digest(self.model_dump(mode="json", exclude={"device"}))

    def federation_hash(self) -> str:
        """Content hash of what the transcript depends on: all but the attacks."""
        values = self.model_dump(mode="json", exclude={"device", "attacks", "primary"})
        if values.get("game") == GameConfig().model_dump(mode="json"):
            del values["game"]  # runs from before there were games stay what they are
        return _digest(values)

    def attack_hash(self, name: str) -> str:
        """Content hash of what one attack's result depends on, given the transcript."""
        values = self.attacks[name].model_dump(mode="json")
        if values["view"] == "clients":
            del values["view"]  # attacks from before there were other views stay what they are
        return _digest([self.seed, values])

    def to_yaml(self) -> str:
        """The resolved configuration as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


class Config(Attacked):
    """Everything a run depends on.

    Attributes:
        seed: the root seed.
        device: "cpu", "cuda", or "auto" (CUDA where there is one).
        data, federation, game: see there.
        attacks: name to attack; empty simulates the federation only.
    """

    data: DataConfig = DataConfig()
    federation: FederationConfig = FederationConfig()
    game: GameConfig = GameConfig()
    attacks: dict[str, AttackConfig] = Field(default_factory=lambda: {"ridge": AttackConfig(attack="ridge")})

    def tuned(self, how: Tuning) -> Config:
        """The same configuration with every attack's settings chosen in this way."""
        attacks = {name: entry.model_copy(update={"tune": how}) for name, entry in self.attacks.items()}
        return self.model_copy(update={"attacks": attacks})


def load(path: Path | None, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and apply overrides.

    Args:
        path: the file, or None for the defaults.
        overrides: ``section.key=value`` with a YAML value, for example ``data.targets=20``.

    Raises:
        UserError: a missing file, bad YAML, an unknown key (with a suggestion) or a value out of range.
    """
    return parse_with({} if path is None else read_yaml(path), overrides)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty one.

    Raises:
        UserError: a missing file, bad YAML, or something else than a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise UserError(f"There is no config file {path}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid YAML: {printable(str(error), 500)}.") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold keys and values, not {type(values).__name__}.")
    return values


def parse_with(values: Mapping[str, Any], overrides: Sequence[str]) -> Config:
    """Apply overrides to a mapping and validate it; see `load`."""
    changed = copy.deepcopy(dict(values))
    for override in overrides:
        set_value(changed, *parse_override(override))
    return parse(changed)


def parse(values: Mapping[str, Any]) -> Config:
    """Validate a configuration, names and settings of plug-ins included.

    ``attacks`` may be a list of names, and an entry's ``attack`` defaults to its name.

    Raises:
        UserError: the first problem, in one line.
    """
    values = dict(values)
    if "recorded" in values:
        raise UserError(
            "This federation was recorded elsewhere and cannot be run again; use `logitleak attack` on its folder."
        )
    if "attacks" in values:
        values["attacks"] = _attack_entries(values["attacks"])
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise UserError(registry.describe(error, "The config", Config)) from None
    registry.check("scheme", config.federation.scheme)
    registry.check("data", config.data.source)
    check_models(config.federation)
    if config.data.degradation is not None:
        registry.check("degradation", config.data.degradation)
    check_attacks(config)
    return config


def check_models(federation: FederationConfig) -> None:
    """Raise a `UserError` where a model is not registered; ``module:function`` is looked up when it is needed, not
    when a config is read."""
    for model in (*federation.models, federation.server_model):
        if not registry.is_own(model):
            registry.check("model", model)


def check_attacks(config: Attacked) -> None:
    """Raise a `UserError` where an attack or a prior is not registered."""
    for entry in config.attacks.values():
        registry.check("attack", entry.attack)
        registry.check("prior", entry.prior)
    if config.primary is not None and config.attacks and config.primary not in config.attacks:
        raise UserError(
            f'The setting "primary" names no attack of this run: "{config.primary}".'
            f"{did_you_mean(config.primary, config.attacks)}"
        )


def _attack_entries(given: Any) -> Any:
    if isinstance(given, str):
        given = [given]
    if isinstance(given, list):
        given = by_name(given)
    if not isinstance(given, dict):
        return given
    for name in given:
        if not (isinstance(name, str) and name.replace("-", "").replace("_", "").isalnum()):
            raise UserError(f"An attack cannot be called {name!r}; use letters, digits, - and _.")
        if name in _RIVALS:
            raise UserError(
                f'"{name}" is what the report calls a trivial rival; give the attack another name.'
            )
    entries = {}
    for name, entry in given.items():
        if not isinstance(entry, dict | None):
            raise UserError(f'"attacks.{name}" must hold keys and values, not {entry!r}.')
        entry = dict(entry or {})
        entry.setdefault("attack", name)
        entries[name] = entry
    return entries


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
