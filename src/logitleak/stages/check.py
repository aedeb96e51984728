"""Everything that can be wrong with a configuration, found before anything is computed or written."""

from __future__ import annotations

from dataclasses import dataclass

from logitleak import registry
from logitleak.aggregation.base import Hiding
from logitleak.attacks.base import create
from logitleak.config import Config, DataConfig, FederationConfig
from logitleak.data.base import UNLABELLED, DataSource
from logitleak.data.partition.base import Partition
from logitleak.data.selection import Sizes, check_numbers, choose_identities, partition_of, sizes
from logitleak.data.split import degradation
from logitleak.errors import UserError
from logitleak.federation.batches import refuse_single_images
from logitleak.models import own
from logitleak.schemes.base import Scheme
from logitleak.stages.aggregation import check_aggregation
from logitleak.stages.banks import scheme_of
from logitleak.stages.candidates import told_apart
from logitleak.stages.folder import choose_device
from logitleak.stages.shields import check_defenses
from logitleak.stages.trainers import check_trained
from logitleak.types import MODEL_KINDS


@dataclass(frozen=True)
class Checked:
    """A configuration that can be run, and what it is about.

    Attributes:
        scheme: with its settings.
        sizes: how much there will be of everything.
        left_out: how many people are left out, for want of images.
        hiding: what hides single uploads; None where each is seen.
    """

    scheme: Scheme
    sizes: Sizes
    left_out: int
    hiding: Hiding | None = None


def check(config: Config) -> Checked:
    """Build every plug-in with its settings, and count the people.

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
    check_defenses(config.defenses, scheme, config.federation.clients)
    hiding = check_aggregation(config, scheme)
    shares_models = scheme.upload_kind in MODEL_KINDS
    provides = scheme.provides if shares_models else scheme.provides | {"shadows"}
    for name, made in attacks.items():
        made.check_provided(provides, f'The attack "{name}"', f"the scheme {config.federation.scheme}")
        summed = config.attacks[name].view == "sum" or hiding is not None
        made.check_clients(1 if summed else config.federation.clients)
        if shares_models and config.attacks[name].view == "sum":
            raise UserError(
                f'The attack "{name}" cannot see a sum of outputs: clients of this scheme send models.'
            )
    partition = partition_of(d)
    _check_game(config, partition)
    by_image = config.game.design != "none" and config.game.unit == "image"
    if config.candidates and (why := told_apart(d, by_image)):
        raise UserError(f"Nothing can be learnt from candidates here. {why}")
    source_class = registry.load("data", d.source)
    settings = registry.settings(f"data source {d.source}", source_class.Settings, d.settings)
    source: DataSource = source_class(settings, d.root, d.image_size)
    degrade = degradation(d)
    _check_unused(d)
    survey = source.survey()
    if not d.one_domain and degrade is None and (survey.insensitive is None or d.protocol == "half-degraded"):
        raise UserError(
            "These images have no insensitive counterpart; set data.degradation to mask or blur, or data.protocol to "
            "one-domain."
        )
    if d.one_domain and scheme.labelled and UNLABELLED in (survey.public or {}):
        raise UserError(
            f"The scheme {config.federation.scheme} needs a labelled public set, and this one is not in folders of "
            "classes; use dsfl, which needs no labels."
        )
    other = (
        None if degrade is not None or survey.insensitive is None or d.one_domain else set(survey.insensitive)
    )
    people, left_out = choose_identities(survey.sensitive, other, d, own_public=survey.public is not None)
    check_numbers(len(people), d, config.federation.clients, own_public=survey.public is not None)
    found = sizes(d, survey, people, scheme.labelled)
    size = (d.image_size, d.image_size)
    check_architectures(config.federation, scheme, size, found.classes)
    check_trained(
        config.defenses, config.federation, scheme, range(config.federation.clients), size, found.classes
    )
    # how many of them are sensitive is known when they are divided
    counts = dict.fromkeys(("sensitive", "all"), found.public)
    for made in attacks.values():
        made.check_public(size, counts)
    return Checked(scheme, found, len(left_out), hiding)


def _check_game(config: Config, partition: Partition) -> None:
    """Raise a `UserError` unless the coins can be thrown."""
    d, g, clients = config.data, config.game, config.federation.clients
    if g.unit == "person-at-client" and partition.exclusive and g.design != "none":
        raise UserError(
            'game.unit is "person-at-client", and with data.partition=identity every person is at one client only; '
            "use game.unit=person, or share classes, for example by data.partition=iid."
        )
    alone = partition.exclusive and g.unit == "person" and not d.one_domain
    if g.design == "twins" and alone and d.targets < 2 * clients:
        raise UserError(
            f"Twin worlds halve each client's targets, and {d.targets} targets are too few for two at each of "
            f"{clients} clients; raise data.targets, or use game.design=decoys."
        )


def _check_scheme(config: Config, scheme: Scheme) -> None:
    """Raise a `UserError` unless the scheme can work with these data."""
    d, f = config.data, config.federation
    if scheme.labelled and not d.labelled:
        raise UserError(
            f"The scheme {f.scheme} needs a labelled public set, and data.labelled is false; "
            "use dsfl, which needs no labels."
        )
    if scheme.outsiders and d.one_domain:
        raise UserError(
            f"The scheme {f.scheme} needs people who are no targets, and with data.protocol=one-domain all classes "
            "are; use a protocol with two domains, or the scheme fedavg."
        )
    if not scheme.labelled and d.targets < 2 and not d.one_domain:
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
    for model in sorted({*f.models, f.server_model, *scheme.beside}):
        made = own.outline(model, image_size, num_classes)
        refuse_single_images(model, made, f.batch)
        if not registry.is_own(model) or model not in {*f.models, f.server_model}:
            continue
        counts = [name for name, value in made.state_dict().items() if not value.is_floating_point()]
        if counts and scheme.upload_kind in MODEL_KINDS:
            raise UserError(
                f'The scheme {f.scheme} averages models, and "{model}" holds what is no float ({counts[0]}); '
                "normalize without counting batches, for example by GroupNorm."
            )


def _check_unused(d: DataConfig) -> None:
    """Raise a `UserError` for a setting that these data would ignore: a silent one misleads its reader."""
    if d.one_domain and d.degradation is not None:
        raise UserError(
            'data.degradation makes a second domain, and the protocol "one-domain" has none; leave it out.'
        )
    if d.degradation_settings and d.degradation is None:
        raise UserError(
            "data.degradation_settings has no effect alone; set data.degradation to mask or blur."
        )
    if d.disjoint and (d.degradation is None or d.protocol != "domain-pair"):
        raise UserError('data.disjoint needs a degradation and the protocol "domain-pair".')
    if d.clean_public and d.protocol != "half-degraded":
        raise UserError('data.clean_public needs the protocol "half-degraded".')
