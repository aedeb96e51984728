"""What a user may set: validated models, their YAML, overrides, and the configuration of a recorded federation."""

from logitleak.choices import Tuning
from logitleak.config.model import (
    Attacked,
    Config,
    check_attacks,
    check_minimum,
    check_models,
    load,
    parse,
    parse_with,
    read_yaml,
)
from logitleak.config.sections import (
    AggregationConfig,
    AttackConfig,
    DataConfig,
    DefenseConfig,
    FederationConfig,
    GameConfig,
    Section,
)

__all__ = [
    "AggregationConfig",
    "AttackConfig",
    "Attacked",
    "Config",
    "DataConfig",
    "DefenseConfig",
    "FederationConfig",
    "GameConfig",
    "Section",
    "Tuning",
    "check_attacks",
    "check_minimum",
    "check_models",
    "load",
    "parse",
    "parse_with",
    "read_yaml",
]
