"""The configuration of a run: YAML into validated, frozen models, with dotted overrides and content hashes."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    Field,
    NonNegativeInt,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from logitleak import registry
from logitleak.choices import Device, Tuning
from logitleak.config.defended import check_defenses, defense_entries
from logitleak.config.overrides import by_name, parse_override, places_of, set_value
from logitleak.config.sections import (
    AttackConfig,
    DataConfig,
    DefenseConfig,
    FederationConfig,
    GameConfig,
    Section,
)
from logitleak.errors import UserError, did_you_mean
from logitleak.files import yaml_text
from logitleak.text import NOUN

_NAMES: dict[type, str] = {list: "a list", str: "a text"}
"""What a file may hold instead of keys and values."""

_LATER = (
    ("data", "partition"),
    ("data", "partition_settings"),
    ("data", "public_share"),
    ("game", "unit"),
    ("federation", "minimum_clients"),
)
"""Settings that came after the first runs were made."""

_DEFAULTS = {
    "data": DataConfig().model_dump(mode="json"),
    "federation": FederationConfig().model_dump(mode="json"),
    "game": GameConfig().model_dump(mode="json"),
}
_BEFORE_UNITS = {name: value for name, value in _DEFAULTS["game"].items() if name != "unit"}

BESIDE = {"device", "noun", "baselines", "candidates"}
"""Settings that change nothing of what travels and of what is made of it."""

_RIVALS = ("prior", "public-mean")
"""Names that evaluation gives to its trivial rivals."""


class Attacked(Section):
    """What every run has, wherever its federation is from.

    Attributes:
        primary: the attack that the verdict rests on, named before anybody looks at the truth; null for the first
            `gap` among the attacks that a run begins with, or else the first attack. Attacks that are added later do
            not take its place.
        noun: what one label of the data stands for, in the words of the report and of the command line: person,
            class, product. It changes no number.
    """

    seed: NonNegativeInt = 0
    device: Device = "auto"
    attacks: dict[str, AttackConfig] = Field(default_factory=dict)
    primary: str | None = None
    noun: str = Field(default="person", pattern=NOUN)

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
        values = self.model_dump(mode="json", exclude=BESIDE)
        if values.get("federation", {}).get("minimum_clients", 0) is None:
            del values["federation"]["minimum_clients"]
        return _digest(values)

    def federation_hash(self) -> str:
        """Content hash of what the transcript depends on: all but the attacks."""
        values = self.model_dump(mode="json", exclude={*BESIDE, "attacks", "primary"})
        for section, name in _LATER:  # runs from before there were these settings stay what they are
            if section in values and values[section].get(name) == _DEFAULTS[section][name]:
                del values[section][name]
        if values.get("game") == _BEFORE_UNITS:
            del values["game"]
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
        defenses: what clients do while they learn private images, and to their outputs before these leave them; of
            those the first acts on what the model says, the last on what leaves.
        baselines: whether every client is trained alone too, and one model on everybody's images, to show what
            federating buys. It changes nothing else.
        candidates: of how many images, used ones and others in turn, it is kept what clients would answer if the server
            asked about them, for the audit of single records. It changes nothing else.
        attacks: name to attack; empty simulates the federation only.
    """

    data: DataConfig = DataConfig()
    federation: FederationConfig = FederationConfig()
    game: GameConfig = GameConfig()
    defenses: list[DefenseConfig] = Field(default_factory=list)
    baselines: bool = False
    candidates: NonNegativeInt = 0
    attacks: dict[str, AttackConfig] = Field(default_factory=lambda: {"ridge": AttackConfig(attack="ridge")})

    @model_serializer(mode="wrap")
    def _defended(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = write(self)
        if not values.get("defenses"):  # runs without any are what they were before there were defenses
            values.pop("defenses", None)
        return values

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
        values = yaml_text.parse(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"There is no config file {path}.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; give the YAML file of a configuration.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason}); save it as such.") from None
    except UserError as error:
        raise UserError(f"{path} {error}.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold keys and values, not {_NAMES.get(type(values), 'a plain value')}.")
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
    if "defenses" in values:
        values["defenses"] = defense_entries(values["defenses"])
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        attacks = values.get("attacks", {"ridge": {}})
        raise UserError(
            registry.describe(error, "The config", Config, lambda path: places_of(path, attacks))
        ) from None
    registry.check("scheme", config.federation.scheme)
    registry.check("aggregator", config.federation.aggregation.kind)
    registry.check("data", config.data.source)
    check_models(config.federation)
    check_minimum(config.federation.minimum_clients, config.federation)
    check_defenses(config.defenses)
    if config.candidates and config.defenses:
        raise UserError(
            "What clients would say of candidates is kept as their models say it, without defenses; leave out "
            "candidates, or defenses."
        )
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


def check_minimum(minimum: int | None, f: FederationConfig) -> None:
    """Raise a `UserError` where more clients must answer than are asked."""
    if minimum is not None and minimum > f.clients:
        raise UserError(f"minimum_clients is {minimum}, and there are {f.clients} clients; lower it.")
    if minimum is not None and minimum > f.drawn:
        raise UserError(
            f"minimum_clients is {minimum}, and federation.participation draws {f.drawn} of {f.clients} clients for "
            "each round; lower the one, or raise the other."
        )


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
