"""What everybody in a deployed federation is told: the flat table ``[tool.flwr.app.config]`` of a Flower app."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from logitleak import registry
from logitleak.config import Config, DefenseConfig, FederationConfig, check_minimum, check_models
from logitleak.config.defended import defense_entries
from logitleak.deploy.sums.make import check_deployed
from logitleak.errors import UserError
from logitleak.stages.banks import scheme_of
from logitleak.stages.shields import check_defenses
from logitleak.strict import Strict

_SETTING, _AGGREGATION = "settings.", "aggregation"


class DeployConfig(Strict):
    """One federation, and where its parts are.

    Attributes:
        seed: the root seed; client k starts from the model of client k of a simulation with this seed.
        device: "cpu", "cuda" or "auto", for clients and server alike.
        federation: who takes part and how everybody trains.
        defenses: what clients do to their outputs before these leave them, or while they learn; in the table one text,
            as JSON.
        minimum_clients: how many must answer validly; with fewer the federation ends. It stands here, and not in
            ``federation``.
        answer_timeout: seconds that clients have for one action.
        start_timeout: seconds that clients have for connecting before the first action.
        server_data: the server's folder, with the public set alone.
        client_data: the parent of the folders ``client-K``, for Flower's simulation; a SuperNode names its own
            folder as ``data`` in its node config.
        out: the run folder that the server writes.
    """

    seed: NonNegativeInt = 0
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    federation: FederationConfig = Field(default_factory=FederationConfig)
    defenses: list[DefenseConfig] = Field(default_factory=list)
    minimum_clients: PositiveInt = 1
    answer_timeout: PositiveFloat = 600.0
    start_timeout: PositiveFloat = 120.0
    server_data: Path
    client_data: Path
    out: Path


def flat(config: DeployConfig) -> dict[str, str | int | float | bool]:
    """The table as Flower takes it: no lists, no nesting, no nulls.

    Raises:
        UserError: a setting of the scheme has no place in it, or uploads cannot be summed so.
    """
    check_deployed(config.federation, scheme_of(config.federation))
    values = config.model_dump(mode="json")
    federation = values.pop("federation")
    if defenses := values.pop("defenses"):
        values["defenses"] = json.dumps(defenses)
    settings = federation.pop("settings")
    del federation["minimum_clients"]  # the table has one of this name
    federation["models"] = ",".join(federation["models"])
    if aggregation := federation.pop("aggregation", None):
        federation[_AGGREGATION] = json.dumps(aggregation) if aggregation["settings"] else aggregation["kind"]
    table = values | federation
    for name, value in settings.items():
        if not isinstance(value, str | int | float | bool):
            raise UserError(f"federation.settings.{name} is {value!r}; a Flower app takes plain values only.")
        table[_SETTING + name] = value
    return table


def parse(table: Mapping[str, Any], node: Mapping[str, Any] | None = None) -> DeployConfig:
    """Read back what `flat` wrote.

    Args:
        table: what everybody is told.
        node: what one client's node says by itself; its ``defenses`` act after everybody's, and nobody hears of them.

    Raises:
        UserError: an unknown key, or a value out of range.
    """
    own = {k: v for k, v in table.items() if k in DeployConfig.model_fields and k != "federation"}
    rest = {k: v for k, v in table.items() if k not in own}
    settings = {k.removeprefix(_SETTING): v for k, v in rest.items() if k.startswith(_SETTING)}
    federation = {k: v for k, v in rest.items() if not k.startswith(_SETTING)} | {"settings": settings}
    if isinstance(federation.get("models"), str):
        federation["models"] = [name.strip() for name in federation["models"].split(",")]
    if _AGGREGATION in federation:
        federation[_AGGREGATION] = _aggregation(federation[_AGGREGATION])
    given = [source["defenses"] for source in (own, node or {}) if "defenses" in source]
    if given:
        own["defenses"] = [entry for one in given for entry in defense_entries(_listed(one))]
    try:
        parsed = FederationConfig.model_validate(federation)
        config = DeployConfig.model_validate(own | {"federation": parsed})
    except ValidationError as error:
        raise UserError(registry.describe(error, "The app's config", DeployConfig)) from None
    check_minimum(config.minimum_clients, parsed)
    check_models(parsed)
    check_defenses(config.defenses, scheme_of(parsed), parsed.clients)
    registry.check("aggregator", parsed.aggregation.kind)
    check_deployed(parsed, scheme_of(parsed))
    return config


def _aggregation(given: Any) -> Any:
    """What the table says of sums: a kind, or JSON with its settings."""
    if not isinstance(given, str) or not given.startswith("{"):
        return given
    try:
        return json.loads(given)
    except ValueError:
        raise UserError(
            f'The app\'s config: "aggregation" must be a kind such as secure-sum, or JSON, not {given!r}.'
        ) from None


def _listed(given: Any) -> list[Any]:
    """What the table says of defenses, which is JSON."""
    try:
        found = json.loads(given)
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, list):
        raise UserError(
            f'The app\'s config: "defenses" must be a JSON list such as \'["round"]\', not {given!r}.'
        )
    return found


def of_run(config: Config, data: Path, out: Path) -> DeployConfig:
    """The deployment of a simulation's configuration.

    Args:
        config: what a simulation would run.
        data: the folder that `folders.divide` filled.
        out: the run folder.
    """
    federation = config.federation.model_copy(update={"minimum_clients": None})
    return DeployConfig(
        seed=config.seed, device=config.device, federation=federation, defenses=config.defenses,
        minimum_clients=config.federation.minimum_clients or 1,
        server_data=data / "server", client_data=data, out=out,
    )  # fmt: skip
