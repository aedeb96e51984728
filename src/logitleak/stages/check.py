"""Everything that can be wrong with a configuration, found before anything is computed or written."""

from __future__ import annotations

from logitleak import registry
from logitleak.attacks.base import create
from logitleak.config import Config
from logitleak.data.base import DataSource, Survey
from logitleak.data.split import check_numbers, choose_identities, degradation
from logitleak.errors import UserError
from logitleak.schemes.base import Scheme
from logitleak.stages.folder import choose_device


def scheme_of(config: Config) -> Scheme:
    """The configured scheme, with its settings.

    Raises:
        UserError: an unknown name or setting.
    """
    f = config.federation
    scheme_class = registry.load("scheme", f.scheme)
    made: Scheme = scheme_class(registry.settings(f"scheme {f.scheme}", scheme_class.Settings, f.settings))
    return made


def check(config: Config) -> tuple[Survey, list[str], int]:
    """Build every plug-in with its settings, and count the people.

    Returns:
        the survey of the data, the people that will take part, and how many are left out.

    Raises:
        UserError: what a run would stop at: unknown names or settings, missing data, numbers that do not fit.
    """
    d = config.data
    choose_device(config.device)
    scheme_of(config)
    for entry in config.attacks.values():
        create(entry.attack, entry.settings, prior=entry.prior, prior_settings=entry.prior_settings)
    source_class = registry.load("data", d.source)
    settings = registry.settings(f"data source {d.source}", source_class.Settings, d.settings)
    source: DataSource = source_class(settings, d.root, d.image_size)
    degrade = degradation(d)
    survey = source.survey()
    if degrade is None and (survey.insensitive is None or d.protocol == "half-degraded"):
        raise UserError("These images have no insensitive counterpart; set data.degradation to mask or blur.")
    other = None if degrade is not None or survey.insensitive is None else set(survey.insensitive)
    people, left_out = choose_identities(survey.sensitive, other, d)
    check_numbers(len(people), d, config.federation.clients)
    return survey, people, len(left_out)
