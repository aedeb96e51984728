"""Who holds what: both protocols, and every number that does not fit."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from logitleak.config import DataConfig
from logitleak.data import split as module
from logitleak.data.base import Dataset, ImageSet, Skipped, SourceSettings
from logitleak.data.degrade.blur import Blur, BlurSettings
from logitleak.data.division import Prepared
from logitleak.data.selection import check_numbers, choose_identities
from logitleak.data.split import degradation, prepare
from logitleak.errors import UserError
from logitleak.sealed.truth import Split, unlabelled

SIDE = 16
CLEAN, OTHER = 0, 1


def numbered(counts: dict[str, int], domain: int) -> ImageSet:
    """Images that say who they show and which one they are: channels domain, identity, number; all flat."""
    identities = [name for name in sorted(counts) for _ in range(counts[name])]
    numbers = [number for name in sorted(counts) for number in range(counts[name])]
    everybody = sorted(counts)
    pixels = np.empty((len(identities), 3, SIDE, SIDE), np.uint8)
    for row, (name, number) in enumerate(zip(identities, numbers, strict=True)):
        pixels[row] = np.array([domain, everybody.index(name), number], np.uint8)[:, None, None]
    return ImageSet(pixels, identities, [f"{n}/{i}" for n, i in zip(identities, numbers, strict=True)])


class Source:
    """A data source that gives a data set as it is."""

    Settings = SourceSettings
    dataset: Dataset

    def __init__(self, settings: Any, root: Path | None, image_size: int) -> None: ...

    def load(self) -> Dataset:
        return self.dataset


class Marking:
    """A degradation that marks what it touched, and keeps the rest readable."""

    def __call__(self, pixels: np.ndarray[Any, Any], files: list[str]) -> np.ndarray[Any, Any]:
        assert len(pixels) == len(files)
        marked = np.array(pixels)
        marked[:, 0] = OTHER
        return marked


def divide(
    counts: dict[str, int],
    other: dict[str, int] | None = None,
    clients: int = 1,
    seed: int = 0,
    **changes: Any,
) -> Prepared:
    """`prepare` on numbered images; without ``other`` a degradation makes the insensitive domain."""
    config = DataConfig.model_validate(
        {"source": "folder", "image_size": SIDE, "degradation": None if other else "blur", **changes}
    )
    insensitive = None if other is None else numbered(other, OTHER)
    Source.dataset = Dataset("numbered", True, numbered(counts, CLEAN), insensitive)
    with pytest.MonkeyPatch.context() as patch:
        load = module.registry.load
        patch.setattr(
            module.registry, "load", lambda kind, name: Source if kind == "data" else load(kind, name)
        )
        patch.setattr(module, "degradation", lambda config: Marking() if config.degradation else None)
        return prepare(config, clients, seed)


def photos(images: torch.Tensor) -> list[tuple[int, int]]:
    """(identity, number) of numbered images."""
    return [(int(image[1, 0, 0]), int(image[2, 0, 0])) for image in images]


def parts(prepared: Prepared) -> dict[str, list[tuple[int, int]]]:
    """The photos in D_0, D_a, private and held out; images and marks are checked on the way."""
    public, truth = prepared.split.public, prepared.split.truth
    assert torch.equal(public.images[:, 0, 0, 0] == OTHER, ~public.sensitive)
    assert (truth.images[:, 0] == CLEAN).all()
    assert (truth.held_images[:, 0] == CLEAN).all()
    assert public.labels is not None
    found = {
        "clean": photos(public.images[public.sensitive]),
        "degraded": photos(public.images[~public.sensitive]),
        "private": photos(truth.images),
        "held": photos(truth.held_images),
    }
    for listed in found.values():
        assert len(listed) == len(set(listed))
    return found


def check_always(prepared: Prepared, clients: int, targets: int) -> dict[str, list[tuple[int, int]]]:
    """What holds for every division. Labels must be the identities (nobody was left out)."""
    split, found = prepared.split, parts(prepared)
    public, truth = split.public, split.truth
    assert public.labels is not None
    assert [i for i, _ in found["clean"] + found["degraded"]] == public.labels.tolist()
    assert [i for i, _ in found["private"]] == truth.labels.tolist()
    assert [i for i, _ in found["held"]] == truth.held_labels.tolist()
    assert split.num_classes == len(truth.names)
    # sensitive images are in exactly one place
    sensitive = found["clean"] + found["private"] + found["held"]
    assert len(sensitive) == len(set(sensitive))
    # no sensitive image of a target is public, and everybody else's are
    private = {i for i, _ in found["private"]}
    assert len(private) == targets
    assert {i for i, _ in found["clean"]} == set(range(split.num_classes)) - private
    assert truth.target_labels.tolist() == sorted(private)
    # each private identity belongs to exactly one client, and every client has some
    owners = {(int(label), int(owner)) for label, owner in zip(truth.labels, truth.owners, strict=True)}
    assert len(owners) == targets
    per_client = Counter(owner for _, owner in owners)
    assert sorted(per_client) == list(range(clients))
    assert max(per_client.values()) - min(per_client.values()) <= 1
    # every target is in D_a, or an attack would have nothing to compare with
    assert private <= {i for i, _ in found["degraded"]}
    return found


SIX = {f"p{i}": 5 for i in range(6)}


def test_domain_pair_with_a_domain_of_its_own() -> None:
    other = dict.fromkeys(SIX, 4)
    prepared = divide(SIX, other, clients=2, targets=3, held_out=0.2)
    found = check_always(prepared, clients=2, targets=3)
    assert sorted(found["degraded"]) == [(i, n) for i in range(6) for n in range(4)]
    assert len(found["held"]) == 6
    assert len(found["clean"]) == len(found["private"]) == 3 * 4
    assert (prepared.title, prepared.synthetic, list(prepared.skipped)) == ("numbered", True, [])
    assert prepared.split.truth.names == sorted(SIX)


def test_domain_pair_with_a_degradation() -> None:
    """As in masked LFW: a target's public images are degraded copies of the private ones."""
    found = check_always(divide(SIX, targets=3, held_out=0.2), clients=1, targets=3)
    assert sorted(found["degraded"]) == sorted(found["clean"] + found["private"])


def test_disjoint_takes_other_photos_for_targets() -> None:
    found = check_always(divide(SIX, targets=3, held_out=0.2, disjoint=True), clients=1, targets=3)
    assert not set(found["degraded"]) & set(found["private"])
    assert set(found["clean"]) < set(found["degraded"])
    assert len(found["private"]) == 3 * 2


def test_half_degraded() -> None:
    found = check_always(
        divide(SIX, clients=3, targets=3, held_out=0.2, protocol="half-degraded"), clients=3, targets=3
    )
    assert not set(found["degraded"]) & set(found["private"] + found["clean"])
    assert len(found["degraded"]) == 6 * 2
    assert len(found["private"]) == 3 * 2


def test_half_degraded_ignores_a_domain_of_its_own() -> None:
    prepared = divide(SIX, dict.fromkeys(SIX, 9), targets=3, protocol="half-degraded", degradation="blur")
    found = check_always(prepared, clients=1, targets=3)
    assert len(found["degraded"]) == 6 * 2


def test_clean_public() -> None:
    prepared = divide(SIX, targets=3, held_out=0.2, protocol="half-degraded", clean_public=True)
    found = check_always(prepared, clients=1, targets=3)
    assert {i for i, _ in found["degraded"]} == {i for i, _ in found["private"]}
    assert len(found["clean"]) == 3 * 4


@pytest.mark.parametrize("protocol", ["domain-pair", "half-degraded"])
def test_degraded_copies_of_held_out_photos_are_not_public(protocol: str) -> None:
    found = parts(divide(SIX, targets=3, held_out=0.5, protocol=protocol))
    assert len(found["held"]) == 6 * 2
    assert not set(found["held"]) & set(found["degraded"] + found["clean"] + found["private"])


def test_held_out_may_be_nobody() -> None:
    prepared = divide(SIX, targets=3, held_out=0)
    assert prepared.split.truth.held_images.shape == (0, 3, SIDE, SIDE)
    assert prepared.split.truth.held_labels.dtype == torch.int64


@pytest.mark.parametrize("most", [2, 3])
def test_max_images(most: int) -> None:
    prepared = divide(SIX, dict.fromkeys(SIX, 4), targets=3, max_images=most, held_out=0)
    found = check_always(prepared, clients=1, targets=3)
    assert set(Counter(i for i, _ in found["degraded"]).values()) == {most}
    assert set(Counter(i for i, _ in found["clean"] + found["private"]).values()) == {most}


def test_min_images_and_missing_counterparts_leave_people_out() -> None:
    counts = {"few": 1, "lonely": 5, **SIX}
    prepared = divide(counts, {**SIX, "few": 3, "nobody": 2}, targets=3, min_images=2)
    assert prepared.split.truth.names == sorted(SIX)
    assert set(prepared.skipped) == {
        Skipped("few", "fewer than 2 sensitive images"),
        Skipped("lonely", "no insensitive image"),
        Skipped("nobody", "no sensitive image"),
    }


def test_skipped_files_are_told() -> None:
    bad = Skipped("p0/9.png", "not a readable image")
    images = numbered(SIX, CLEAN)
    Source.dataset = Dataset("x", True, ImageSet(images.pixels, images.identities, images.files, [bad]))
    with pytest.MonkeyPatch.context() as patch:
        load = module.registry.load
        patch.setattr(
            module.registry, "load", lambda kind, name: Source if kind == "data" else load(kind, name)
        )
        patch.setattr(module, "degradation", lambda config: Marking())
        assert bad in prepare(DataConfig(targets=2, image_size=SIDE, degradation="blur"), 1, 0).skipped


def test_identities_with_most_images_are_chosen() -> None:
    counts = {"a": 3, "b": 9, "c": 3, "d": 7, "e": 2}
    chosen, left_out = choose_identities(counts, None, DataConfig(identities=3))
    assert chosen == ["a", "b", "d"]  # ties go to the earlier name; the order is that of the names
    assert left_out == []


def test_halves_need_two_images() -> None:
    for changes in ({"protocol": "half-degraded"}, {"disjoint": True}):
        chosen, _ = choose_identities({"a": 1, "b": 2}, None, DataConfig.model_validate(changes))
        assert chosen == ["b"]
    assert choose_identities({"a": 1, "b": 2}, None, DataConfig())[0] == ["a", "b"]


def everything(prepared: Prepared) -> list[torch.Tensor]:
    public, truth = prepared.split.public, prepared.split.truth
    assert public.labels is not None
    return [public.images, public.labels, truth.images, truth.labels, truth.owners, truth.held_images]


@pytest.mark.parametrize("protocol", ["domain-pair", "half-degraded"])
def test_the_seed_decides(protocol: str) -> None:
    def at(seed: int) -> list[torch.Tensor]:
        return everything(divide(SIX, clients=2, targets=3, seed=seed, protocol=protocol, held_out=0.2))

    assert all(torch.equal(a, b) for a, b in zip(at(3), at(3), strict=True))
    targets = {tuple(at(seed)[3].unique().tolist()) for seed in range(6)}
    assert len(targets) > 1


def test_one_person_more_does_not_divide_the_others_anew() -> None:
    """Who is halved how depends on the person's name, not on who else is there."""
    few = parts(divide(SIX, targets=3, protocol="half-degraded", held_out=0))
    more = parts(divide({**SIX, "p9": 5}, targets=3, protocol="half-degraded", held_out=0))
    assert set(few["degraded"]) == {p for p in more["degraded"] if p[0] < 6}


@pytest.mark.parametrize(
    ("people", "changes", "clients", "message"),
    [
        (1, {"targets": 1}, 1, "at least two identities, and the data has 1"),
        (0, {"targets": 1}, 1, "at least two identities, and the data has 0"),
        (6, {"targets": 7}, 1, "7 targets are more than the 6 identities; lower data.targets"),
        (6, {"targets": 6}, 1, "All 6 identities are targets, .*; lower data.targets"),
        (6, {"targets": 2}, 3, "3 clients are more than the 2 targets, .*federation.clients"),
        (6, {"targets": 2, "max_images": 1, "protocol": "half-degraded"}, 1, "raise data.max_images"),
        (
            6,
            {"targets": 2, "max_images": 1, "disjoint": True, "degradation": "blur"},
            1,
            "raise data.max_images",
        ),
    ],
)
def test_numbers_that_do_not_fit(people: int, changes: dict[str, Any], clients: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_numbers(people, DataConfig.model_validate(changes), clients)


def test_numbers_that_fit() -> None:
    check_numbers(2, DataConfig(targets=1), 1)
    check_numbers(6, DataConfig(targets=5), 5)
    check_numbers(6, DataConfig(targets=5, max_images=1, disjoint=True), 1)


@pytest.mark.parametrize(
    ("counts", "changes", "message"),
    [
        ({"a": 5}, {"targets": 1}, "at least two identities"),
        (SIX, {"targets": 9}, "9 targets are more than the 6 identities"),
        (SIX, {"targets": 6}, "All 6 identities are targets"),
        (SIX, {"targets": 2, "clients": 3}, "3 clients are more than the 2 targets"),
        (SIX, {"targets": 2, "identities": 7}, "7 identities are asked for, and 6 fit"),
        (SIX, {"targets": 2, "min_images": 6}, "at least two identities, and the data has 0"),
        (SIX, {"targets": 2, "degradation": None}, "no insensitive domain; set data.degradation"),
        (SIX, {"targets": 2, "degradation": None, "protocol": "half-degraded"}, "needs a degradation"),
        (SIX, {"targets": 2, "max_images": 1, "protocol": "half-degraded"}, "data.max_images"),
    ],
)
def test_errors(counts: dict[str, int], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        divide(counts, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changes", [{"targets": 0}, {"held_out": 0.6}, {"max_images": 0}, {"image_size": 8}])
def test_ranges_of_the_config(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DataConfig.model_validate(changes)


def test_degradation() -> None:
    assert degradation(DataConfig()) is None
    made = degradation(DataConfig(degradation="blur", degradation_settings={"size": 3}))
    assert isinstance(made, Blur)
    assert made.settings == BlurSettings(size=3)
    with pytest.raises(UserError, match='degradation blur has no setting "sise". Did you mean "size"'):
        degradation(DataConfig(degradation="blur", degradation_settings={"sise": 3}))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_small_counts(data: st.DataObject) -> None:
    """Whatever the numbers: a division that keeps every rule, or one line that says why not."""
    names = [f"p{i}" for i in range(data.draw(st.integers(2, 6)))]
    counts = {name: data.draw(st.integers(2, 5)) for name in names}
    protocol = data.draw(st.sampled_from(["domain-pair", "half-degraded"]))
    own = protocol == "domain-pair" and data.draw(st.booleans())
    other = {name: data.draw(st.integers(1, 4)) for name in names} if own else None
    targets, clients = data.draw(st.integers(1, len(names))), data.draw(st.integers(1, 3))
    changes = {
        "protocol": protocol,
        "held_out": data.draw(st.sampled_from([0.0, 0.1, 0.3, 0.5])),
        "disjoint": data.draw(st.booleans()),
        "clean_public": data.draw(st.booleans()),
        "max_images": data.draw(st.sampled_from([None, 1, 2, 3])),
    }
    refused = None
    try:
        prepared = divide(counts, other, clients, data.draw(st.integers(0, 9)), targets=targets, **changes)
    except UserError as error:
        refused = str(error)
    halved = protocol == "half-degraded" or (changes["disjoint"] and not own)
    fits = targets < len(names) and clients <= targets and not (changes["max_images"] == 1 and halved)
    assert fits == (refused is None)
    if refused is not None:
        assert "\n" not in refused
        return
    found = check_always(prepared, clients, targets)
    if not own:
        assert not set(found["held"]) & set(found["degraded"])
    if halved:
        assert not set(found["degraded"]) & set(found["private"])


@pytest.mark.parametrize(
    ("changes", "labelled", "unlabelled_hash"),
    [
        ({"targets": 20}, "c692b8c155cc81c6", "e2d83eba0c32ed67"),
        ({"targets": 10, "settings": {"insensitive": "masked"}}, "cd11bd2a273ad772", "24f0d95f4a4a04b7"),
        (
            {"targets": 20, "protocol": "half-degraded", "degradation": "blur"},
            "41e130d1c3c76350",
            "b5eb300ae42b3659",
        ),
        ({"targets": 12, "degradation": "mask", "disjoint": True}, "1d8e6326639d3580", "f370ff526b6c2f2c"),
    ],
)
def test_the_papers_divisions_are_what_they_always_were(
    changes: dict[str, Any], labelled: str, unlabelled_hash: str
) -> None:
    """Every byte of a division, as it was before there were other partitions."""
    split = prepare(DataConfig.model_validate({"max_images": 4, **changes}), 4, 7).split
    assert _digest(split) == labelled
    assert _digest(unlabelled(split)) == unlabelled_hash


def _digest(split: Split) -> str:
    truth, total = split.truth, hashlib.sha256()
    tensors = (
        split.public.images, split.public.labels, split.public.sensitive, truth.images, truth.labels, truth.owners,
        truth.held_images, truth.held_labels, truth.public_labels,
    )  # fmt: skip
    for tensor in tensors:
        if tensor is not None:
            total.update(tensor.numpy().tobytes())
    total.update(json.dumps(list(truth.names)).encode())
    return total.hexdigest()[:16]
