"""The configuration of a run whose federation was recorded elsewhere: nothing of data or federation can be set."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from logitleak import registry
from logitleak.config import Attacked, Config, Section, check_attacks, parse, read_yaml
from logitleak.errors import UserError


class Recorded(Section):
    """Where the transcript is from. What it says of itself was not checked.

    Attributes:
        title: what to call its data.
        synthetic: whether the people are made up; null where nobody said.
        digest: content hash of the transcript.
    """

    title: str
    synthetic: bool | None = None
    digest: str


class RecordedConfig(Attacked):
    """The ``config.yaml`` of such a run."""

    recorded: Recorded


RunConfig = Config | RecordedConfig


def load_run(path: Path) -> RunConfig:
    """The ``config.yaml`` of a run folder, simulated or recorded.

    Raises:
        UserError: as `config.load`.
    """
    values = read_yaml(path)
    if "recorded" not in values:
        return parse(values)
    try:
        config = RecordedConfig.model_validate(values)
    except ValidationError as error:
        raise UserError(registry.describe(error, str(path), RecordedConfig)) from None
    check_attacks(config)
    return config
