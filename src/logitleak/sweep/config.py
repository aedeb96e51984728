"""What a sweep is: a base configuration, a grid over it, and what its report shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from logitleak import registry
from logitleak.config import read_yaml
from logitleak.config.overrides import parse_override, set_value
from logitleak.errors import UserError, did_you_mean
from logitleak.strict import Strict

Bundle = dict[str, dict[str, Any]]
"""A label to the settings that it stands for: ``{"lfw": {"data.source": "lfw", "data.degradation": "mask"}}``."""


def _tidy(grid: Any) -> Any:
    """Labels of bundles as text (YAML reads ``1:`` as a number), empty bundles as no setting."""
    if not isinstance(grid, dict):
        return grid
    return {
        axis: {str(label): {} if settings is None else settings for label, settings in given.items()}
        if isinstance(given, dict)
        else given
        for axis, given in grid.items()
    }


class Show(Strict):
    """One table or figure of a sweep's report. Axes are called as in `Cell.axes`.

    Attributes:
        kind: "table": a value for every combination of ``rows`` and ``columns``. "bars": the same as bars.
            "attacks": a line for every attack, and combination of ``rows``: what it needs and what it shows (Table 1).
            "trade-off": accuracy against SSIM, a dot for each cell, its size from the axis ``size``.
            "confidence": histograms of entropy (Fig. 3). "client-ssim": similarity among clients (Fig. 4).
            "sharing": a value against how many clients a class is at, a dot for each combination of ``rows``, a series
            for every attack and combination of ``columns``.
            "strips": rows of images of some targets.
        title: what stands above it.
        rows, columns: axes; "attack" is one, and so is "seed". Cells are pooled over axes that are not named.
            Bars: groups and series. A trade-off: a series for every attack and combination of columns. Strips: a
            strip for every combination of rows. Histograms: a panel for every combination of both.
        panels: axes of which every combination gets a panel of its own.
        size: the axis that dots of a trade-off are sized and labelled by.
        value: what tables and bars show. In sweeps with a game "accuracy" is success where the targets are in, "out"
            where they are out, "leak" the difference, "wins" the share of targets whose image is better where they
            are in; "owner_leak" and "owner_wins" are of the image of the owner, or of the client that a
            unit is at. "identity" is the area under the curve for who is where, whatever the attack.
        strip: what strips show: the chosen image of every "round", of every value of ``columns`` ("cell"), or the
            "prior" images.
        targets: how many targets strips show.
        only: for an axis, the values that are shown; all others are left out. A cell stays that has no value there,
            as TBI has no tau.
        paper: the paper's table to stand beside: "table2" or "table3"; a table of accuracy can.
        paper_names: how the paper calls values of an axis: ``{"data": {"masked": "LFW"}}``. Where no axis says which
            data there are, "data" is the name of the source.
    """

    kind: Literal["table", "bars", "attacks", "trade-off", "confidence", "client-ssim", "sharing", "strips"]
    title: str
    rows: list[str] = Field(default_factory=list)
    columns: list[str] = Field(default_factory=list)
    panels: list[str] = Field(default_factory=list)
    size: str | None = None
    value: Literal[
        "accuracy",
        "out",
        "leak",
        "owner_leak",
        "wins",
        "owner_wins",
        "ssim",
        "ssim_out",
        "too_close",
        "owner_named",
        "prior_accuracy",
        "prior_ssim",
        "identity",
        "utility",
    ] = "accuracy"
    strip: Literal["round", "cell", "prior"] = "cell"
    targets: PositiveInt = 6
    only: dict[str, list[Any]] = Field(default_factory=dict)
    paper: Literal["table2", "table3"] | None = None
    paper_names: dict[str, dict[str, str]] = Field(default_factory=dict)


class Sweep(Strict):
    """A grid of cells; a cell is one attack on one federation.

    Attributes:
        title: what the report is called.
        base: the configuration that every cell starts from: its values, or the path of a YAML file beside the
            sweep's.
        attacks: which of the base's attacks take part; all by default.
        grid: an axis is a dotted key of the configuration with its values, called by the key's last part
            (``federation.clients: [1, 10]``), or a name with labelled bundles of settings. An axis that touches
            ``attacks.NAME`` alone makes variants of that attack and shares the federation.
        show: tables and figures of the report, in order; one table of everything where there is none.
        retries: how often a cell whose worker process died is tried again.
        audit: whether every federation is audited too, as by ``logitleak audit`` ("full") or with ``--fast``.
    """

    title: str = ""
    base: dict[str, Any] | str = Field(default_factory=dict)
    attacks: list[str] | None = None
    grid: Annotated[dict[str, list[Any] | Bundle], BeforeValidator(_tidy)] = Field(default_factory=dict)
    show: list[Show] = Field(default_factory=list)
    retries: NonNegativeInt = 1
    audit: Literal["none", "fast", "full"] = "none"


def load(path: Path, overrides: Sequence[str] = (), only: Sequence[str] = ()) -> Sweep:
    """Read a sweep and its base.

    Args:
        path: the YAML file.
        overrides: changes to the base, ``section.key=value``.
        only: a part of the grid, ``axis=value`` or ``axis=[value, value]``.

    Raises:
        UserError: a missing file, bad YAML, an unknown key (with a suggestion), an empty axis; one line.
    """
    values = read_yaml(path)
    try:
        sweep = Sweep.model_validate(values)
    except ValidationError as error:
        raise UserError(registry.describe(error, "The sweep", Sweep)) from None
    base = sweep.base
    if isinstance(base, str):
        base = read_yaml(path.parent / base)
    for override in overrides:
        set_value(base, *parse_override(override))
    _check_plain("The base", base)
    for axis, given in sweep.grid.items():
        _check_axis(axis, given)
    if sweep.attacks is not None and len(set(sweep.attacks)) < len(sweep.attacks):
        raise UserError("The sweep's attacks name one twice.")
    changed: dict[str, Any] = {"base": base, "grid": dict(sweep.grid), "title": sweep.title or path.stem}
    for restriction in only:
        name, wanted = parse_override(restriction)
        labels = wanted if isinstance(wanted, list) else [wanted]
        if name == "attack":
            changed["attacks"] = [str(label) for label in labels]
        else:
            _restrict(changed["grid"], axis_name(name), {str(label) for label in labels})
    return sweep.model_copy(update=changed)


def _check_axis(axis: str, given: list[Any] | Bundle) -> None:
    if len(given) == 0:
        raise UserError(f'The axis "{axis}" of the grid has no values; give it some or leave it out.')
    if axis_name(axis) == "attack":
        raise UserError('An axis cannot be called "attack": that is where a cell\'s attack stands.')
    _check_plain(f'The axis "{axis}"', given)
    if isinstance(given, list) and any(value in given[:place] for place, value in enumerate(given)):
        raise UserError(f'The axis "{axis}" of the grid names a value twice.')


def _check_plain(what: str, values: Any) -> None:
    """Raise a `UserError` for what YAML knows and a configuration does not: dates, sets, NaN."""
    try:
        json.dumps(values, allow_nan=False)
    except (TypeError, ValueError):
        raise UserError(
            f"{what} holds a value that is neither text, nor a finite number, nor yes or no; put dates in quotes."
        ) from None


def _restrict(grid: dict[str, list[Any] | Bundle], name: str, labels: set[str]) -> None:
    """Leave only some values of an axis, in place; several axes may have its name, one for each attack."""
    axes = [key for key in grid if axis_name(key) == name]
    if not axes:
        known = {axis_name(key) for key in grid}
        raise UserError(f'The grid has no axis "{name}".{did_you_mean(name, known)}')
    for key in axes:
        given = grid[key]
        missing = sorted(labels - {str(label) for label in given})
        if missing:
            raise UserError(
                f'The axis "{name}" has no value {missing[0]}. There is: {", ".join(map(str, given))}.'
            )
        if isinstance(given, dict):
            grid[key] = {label: settings for label, settings in given.items() if label in labels}
        else:
            grid[key] = [value for value in given if str(value) in labels]


def axis_name(key: str) -> str:
    """What an axis is called: the last part of a dotted key."""
    return key.split(".")[-1]
