"""Everything that can be wrong with a configuration, found before anything is computed or written."""

from __future__ import annotations

import torch

from logitleak import registry
from logitleak.attacks.base import create
from logitleak.config import Config, DataConfig, FederationConfig
from logitleak.data.base import DataSource, Survey
from logitleak.data.split import check_numbers, choose_identities, degradation
from logitleak.errors import UserError
from logitleak.federation.batches import refuse_single_images
from logitleak.models import own
from logitleak.schemes.base import Scheme
from logitleak.stages.banks import scheme_of
from logitleak.stages.folder import choose_device
from logitleak.types import MODEL_KINDS


def check(config: Config) -> tuple[Survey, list[str], int]:
    """Build every plug-in with its settings, and count the people.

    Returns:
        the survey of the data, the people that will take part, and how many are left out.

    Raises:
        UserError: what a run would stop at: unknown names or settings, missing data, numbers that do not fit.
    """
    d = config.data
    choose_device(config.device)
    scheme = scheme_of(config.federation)
    attacks = {
        name: create(entry.attack, entry.settings, prior=entry.prior, prior_settings=entry.prior_settings)
        for name, entry in config.attacks.items()
    }
    _check_scheme(config, scheme)
    shares_models = scheme.upload_kind in MODEL_KINDS
    provides = scheme.provides if shares_models else scheme.provides | {"shadows"}
    for name, made in attacks.items():
        made.check_provided(provides, f'The attack "{name}"', f"the scheme {config.federation.scheme}")
        if shares_models and config.attacks[name].view == "sum":
            raise UserError(
                f'The attack "{name}" cannot see a sum of outputs: clients of this scheme send models.'
            )
    if config.game.design == "twins" and d.targets < 2 * config.federation.clients:
        raise UserError(
            f"Twin worlds halve each client's targets, and {d.targets} targets are too few for two at each of "
            f"{config.federation.clients} clients; raise data.targets, or use game.design=decoys."
        )
    source_class = registry.load("data", d.source)
    settings = registry.settings(f"data source {d.source}", source_class.Settings, d.settings)
    source: DataSource = source_class(settings, d.root, d.image_size)
    degrade = degradation(d)
    _check_unused(d)
    survey = source.survey()
    if degrade is None and (survey.insensitive is None or d.protocol == "half-degraded"):
        raise UserError("These images have no insensitive counterpart; set data.degradation to mask or blur.")
    other = None if degrade is not None or survey.insensitive is None else set(survey.insensitive)
    people, left_out = choose_identities(survey.sensitive, other, d)
    check_numbers(len(people), d, config.federation.clients)
    classes = len(people) if scheme.labelled else d.targets
    check_architectures(config.federation, scheme, (d.image_size, d.image_size), classes)
    public, _ = count_images(d, survey, people)
    for (
        made
    ) in attacks.values():  # how many of the public images are sensitive is known when they are divided
        made.check_public((d.image_size, d.image_size), {"sensitive": public, "all": public})
    return survey, people, len(left_out)


def _check_scheme(config: Config, scheme: Scheme) -> None:
    """Raise a `UserError` unless the scheme can work with these data."""
    d, f = config.data, config.federation
    if scheme.labelled and not d.labelled:
        raise UserError(
            f"The scheme {f.scheme} needs a labelled public set, and data.labelled is false; "
            "use dsfl, which needs no labels."
        )
    if not scheme.labelled and d.targets < 2:
        raise UserError(
            f"The scheme {f.scheme} has the private people as its classes, and one class is too few; "
            "raise data.targets."
        )


def check_architectures(
    f: FederationConfig, scheme: Scheme, image_size: tuple[int, int], num_classes: int
) -> None:
    """Build every model that is the user's own, and see whether the scheme can work with the models, and whether they
    can learn from batches of this size.

    Raises:
        UserError: it cannot, or a model cannot be built.
    """
    if scheme.one_architecture and {*f.models} != {f.server_model}:
        raise UserError(
            f"The scheme {f.scheme} needs the same model everywhere; set federation.models and server_model alike."
        )
    for model in sorted({*f.models, f.server_model}):
        if not registry.is_own(model):
            with torch.device("meta"):
                refuse_single_images(model, registry.load("model", model)(image_size, num_classes), f.batch)
            continue
        made = own.build(model, image_size, num_classes, seed=0)
        refuse_single_images(model, made, f.batch)
        counts = [name for name, value in made.state_dict().items() if not value.is_floating_point()]
        if counts and scheme.upload_kind in MODEL_KINDS:
            raise UserError(
                f'The scheme {f.scheme} averages models, and "{model}" holds what is no float ({counts[0]}); '
                "normalize without counting batches, for example by GroupNorm."
            )


def count_images(d: DataConfig, survey: Survey, people: list[str]) -> tuple[int, int]:
    """About how many public and private images there will be."""
    cap = d.max_images or 10**9
    sensitive = sum(min(cap, survey.sensitive[name]) for name in people)
    targets = d.targets / len(people)
    if d.protocol == "half-degraded":
        return round(sensitive * (1 - targets / 2)), round(sensitive * targets / 2)
    other = sensitive
    if survey.insensitive is not None and not d.degradation:
        other = sum(min(cap, survey.insensitive[name]) for name in people)
    return round(other + sensitive * (1 - targets)), round(sensitive * targets)


def _check_unused(d: DataConfig) -> None:
    """Raise a `UserError` for a setting that these data would ignore: a silent one misleads its reader."""
    if d.degradation_settings and d.degradation is None:
        raise UserError(
            "data.degradation_settings has no effect alone; set data.degradation to mask or blur."
        )
    if d.disjoint and (d.degradation is None or d.protocol != "domain-pair"):
        raise UserError('data.disjoint needs a degradation and the protocol "domain-pair".')
    if d.clean_public and d.protocol != "half-degraded":
        raise UserError('data.clean_public needs the protocol "half-degraded".')
