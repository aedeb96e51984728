"""Runs of federations that the paper has not: shared classes, clients without images, one domain, units at a client."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
from logitleak import config as configs
from logitleak import registry
from logitleak.data.split import prepare
from logitleak.errors import UserError
from logitleak.report import verdict
from logitleak.sealed.files import read_game, read_truth
from logitleak.stages.check import check
from logitleak.stages.federate import draw
from logitleak.wire.transcript import Transcript
from needs import require

Tiny = Callable[..., dict[str, Any]]
People = Callable[..., Path]

SCHEMES = ("fedmd", "dsfl", "fedgems", "fedavg")


@pytest.fixture
def tiny(tiny_config: Tiny, people: People, tmp_path: Path) -> Tiny:
    """Six people with eight images, three of them targets, four clients; changes are made section by section."""
    home = people(tmp_path / "people", identities=6, images=8)

    def make(**changes: dict[str, Any]) -> dict[str, Any]:
        values = tiny_config(home, targets=3)
        values["federation"]["clients"] = 4
        values["attacks"] = {"gap": {"attack": "gap"}}
        for section, change in changes.items():
            values[section] = {**values.get(section, {}), **change}
        return values

    return make


@pytest.mark.parametrize("scheme", SCHEMES)
def test_clients_without_images_take_part(scheme: str, tiny: Tiny, tmp_path: Path) -> None:
    """Alpha 0.01 leaves clients empty; they answer with what they learnt from others, and nothing is NaN."""
    values = tiny(
        data={"partition": "dirichlet", "partition_settings": {"alpha": 0.01}},
        federation={"scheme": scheme, "settings": {}, "clients": 5},
    )
    values["attacks"] = {}
    config = configs.parse(values)
    owners = prepare(config.data, 5, config.seed).split.truth.owners
    assert len(set(owners.tolist())) < 5
    run = logitleak.run(values, tmp_path / "run")
    assert [len(Transcript(run.path).absent(t)) for t in (1, 2)] == [0, 0]
    assert run.metrics["data"]["private"] == torch.bincount(owners, minlength=5).tolist()
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("unit", ["person-at-client", "image"])
@pytest.mark.parametrize("design", ["twins", "decoys"])
def test_a_unit_at_one_client(unit: str, design: str, tiny: Tiny, tmp_path: Path) -> None:
    values = tiny(data={"partition": "iid"}, game={"design": design, "unit": unit}, federation={"clients": 2})
    run = logitleak.run(values | {"seed": 3}, tmp_path / "run")
    truth, game = read_truth(run.path / "sealed"), read_game(run.path / "sealed")
    assert game is not None
    assert game.unit == unit
    owns = torch.tensor([truth.owner_of(label) for label in game.units.tolist()])
    assert torch.equal(game.strata, owns)
    for world in range(game.worlds):
        used = game.used(truth, world)
        for place, label in enumerate(game.units.tolist()):
            mine = (truth.labels == label) & (truth.owners == game.strata[place])
            others = (truth.labels == label) & ~mine
            assert bool(used[others].all())  # the other clients keep theirs
            out = int((~used[mine]).sum())
            expected = 0 if game.coins[world, place] else 1 if unit == "image" else int(mine.sum())
            assert out == expected
    found = run.metrics["game"]
    assert (found["unit"], found["primary"]["image"]) == (unit, "owner")
    leak = run.metrics["attacks"]["gap"]["leak"]
    assert leak["owner"]["in"]["trials"] + leak["owner"]["out"]["trials"] == (6 if design == "twins" else 3)
    assert all(len(row["holders"]) > 1 for row in run.metrics["attacks"]["gap"]["per_target"])
    assert "client" in " ".join(verdict(run.path).means)


def test_truth_of_a_unit_is_its_own_images(tiny: Tiny, tmp_path: Path) -> None:
    """What is compared with is the designated client's mean image, or the one image."""
    from logitleak.metrics.attack import references

    for unit in ("person-at-client", "image"):
        config = configs.parse(tiny(data={"partition": "iid"}, game={"design": "twins", "unit": unit}))
        split = prepare(config.data, 4, config.seed).split
        game = draw(config, split.truth)
        assert game is not None
        known = references(split.truth, split.public, game)
        for place, label in enumerate(game.units.tolist()):
            rows = (split.truth.labels == label) & (split.truth.owners == game.strata[place])
            if game.rows is not None:
                assert bool(rows[game.rows[place]])
                rows = torch.arange(len(rows)) == game.rows[place]
            expected = split.truth.images[rows].double().mean(0).div(255).float()
            torch.testing.assert_close(known.private[place], expected)


def test_swapping_coins_changes_the_sealed_side_only_where_it_must(tiny: Tiny) -> None:
    """Under twins the second world uses just what the first does not, of the units; all else is the same."""
    config = configs.parse(
        tiny(data={"partition": "overlap"}, game={"design": "twins", "unit": "person-at-client"})
    )
    truth = prepare(config.data, 4, config.seed).split.truth
    game = draw(config, truth)
    assert game is not None
    first, second = game.used(truth, 0), game.used(truth, 1)
    inside = game.belonging(truth).any(0)
    assert torch.equal(first[inside], ~second[inside])
    assert bool((first & second)[~inside].all())


def test_a_person_at_one_client_needs_shared_classes(tiny: Tiny) -> None:
    with pytest.raises(UserError, match="share classes, for example by data.partition=iid"):
        check(configs.parse(tiny(game={"design": "twins", "unit": "person-at-client"})))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": {"partition": "dirichle"}}, 'No partition is called "dirichle". Did you mean "dirichlet"?'),
        ({"data": {"partition": "dirichlet", "partition_settings": {"alpha": 0}}}, "partition dirichlet"),
        (
            {"data": {"partition": "overlap", "partition_settings": {"clients": 9}}},
            "cannot be at 9 of 4 clients",
        ),
        ({"data": {"protocol": "one-domain"}}, "data.degradation makes a second domain"),
        ({"federation": {"clients": 9}}, "9 clients are more than the 3 targets"),
    ],
)
def test_mistakes_are_one_line(changes: dict[str, Any], said: str, tiny: Tiny) -> None:
    with pytest.raises(UserError, match=said) as caught:
        check(configs.parse(tiny(**changes)))
    assert "\n" not in str(caught.value)


def one_domain(root: Path, scheme: str = "fedmd", **game: Any) -> dict[str, Any]:
    return {
        "data": {"source": "images", "root": str(root), "image_size": 16, "protocol": "one-domain", "public_share": 0.4,
                 "partition": "iid"},
        "federation": {"scheme": scheme, "clients": 2, "rounds": 2, "batch": 4},
        "game": game,
        "attacks": {"gap": {"attack": "gap"}, "ridge": {"attack": "ridge"}},
        "noun": "product",
    }  # fmt: skip


@pytest.mark.parametrize("scheme", ["fedmd", "dsfl", "fedgems"])
def test_one_domain_from_end_to_end(scheme: str, people: People, tmp_path: Path) -> None:
    root = people(tmp_path / "people", identities=4, images=10)
    run = logitleak.run(one_domain(root, scheme, design="twins", unit="person-at-client"), tmp_path / "run")
    assert run.metrics["game"]["measure"] == "wins"
    other = run.metrics["attacks"]["ridge"]["leak"]  # a single one is corrected by nothing
    assert other["p_holm"] == other["owner"]["wins"]["p"]
    assert run.metrics["data"]["public_insensitive"] == 0
    assert run.metrics["data"]["targets"] == 4
    found = verdict(run.path)
    assert "products" in found.headline
    assert "likeness decides" in " ".join(found.details)


def test_a_flat_public_set_suits_schemes_without_labels(people: People, tmp_path: Path) -> None:
    people(tmp_path / "root" / "private", identities=3, images=6)
    flat = people(tmp_path / "made", identities=2, images=6)
    (tmp_path / "root" / "public").mkdir()
    for number, path in enumerate(sorted(flat.rglob("*.png"))):
        path.rename(tmp_path / "root" / "public" / f"{number}.png")
    values = one_domain(tmp_path / "root", "dsfl")
    run = logitleak.run(values, tmp_path / "run")
    assert run.metrics["data"]["classes"] == 3
    with pytest.raises(
        UserError, match="needs a labelled public set, and this one is not in folders of classes"
    ):
        check(configs.parse(one_domain(tmp_path / "root", "fedmd")))


def test_hashes_of_runs_from_before_stay(tiny: Tiny) -> None:
    """A run of the paper's partition has the hash that it had before there were others."""
    config = configs.parse(tiny())
    named = configs.parse(tiny(data={"partition": "identity", "public_share": 0.2}, game={"unit": "person"}))
    assert config.federation_hash() == named.federation_hash()
    assert config.federation_hash() != configs.parse(tiny(data={"partition": "iid"})).federation_hash()
    assert config.federation_hash() != configs.parse(tiny(game={"unit": "image"})).federation_hash()


def test_why_nothing_is_tuned_where_classes_are_few(people: People, tmp_path: Path) -> None:
    root = people(tmp_path / "people", identities=3, images=10)
    run = logitleak.run(one_domain(root, design="twins", unit="image"), tmp_path / "run")
    account = run.metrics["attacks"]["gap"]["choices"]["tuned on public data"]
    assert "too few classes" in account["not tuned"]


@pytest.mark.parametrize("unit", ["person-at-client", "image"])
@pytest.mark.parametrize("seed", [0, 1])
def test_who_looks_at_no_upload_leaks_nothing(
    unit: str, seed: int, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: all targets tie, and nothing is shown."""
    entry = registry.Entry("blind:Blind", "Looks at no upload")
    monkeypatch.setitem(registry.TABLES["attack"], "blind", entry)
    values = tiny(
        data={"partition": "iid"}, game={"design": "twins", "unit": unit}, federation={"clients": 2}
    )
    run = logitleak.run(values | {"attacks": {"blind": {"attack": "blind"}}, "seed": seed}, tmp_path / "run")
    for image in ("chosen", "owner"):
        found = run.metrics["attacks"]["blind"]["leak"][image]
        assert found["leak"]["value"] == 0
        assert (found["wins"]["trials"], found["wins"]["ties"]) == (0, 3)
    assert verdict(run.path).badge == "No leak shown"


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["person-at-client", "person"])
def test_the_digits_tell_which_client_used_them(unit: str, tmp_path: Path) -> None:
    """What must be found: with ten classes at four clients, whether one of them used a class shows in its logits."""
    require("sklearn")
    path = Path(__file__).parents[2] / "configs" / "digits.yaml"
    partition = "iid" if unit == "person-at-client" else "identity"
    overrides = [
        f"game.unit={unit}",
        f"data.partition={partition}",
        "data.partition_settings={}",
        "game.worlds=4",
    ]
    run = logitleak.run(configs.load(path, overrides), tmp_path / "run")
    found = run.metrics["attacks"]["gap"]["leak"]["owner"]
    assert found["wins"]["successes"] >= 9
    assert verdict(run.path).badge == "Clear leak"


def test_other_attacks_are_corrected_by_the_image_that_is_asked_for() -> None:
    from logitleak.stages.evaluate import correct_for_many

    def entry(chosen: float, owner: float) -> dict[str, Any]:
        return {"leak": {"chosen": {"leak": {"p": chosen}}, "owner": {"leak": {"p": owner}}, "p_holm": None}}

    attacks = {
        "gap": entry(0.5, 0.5),
        "ridge": entry(0.9, 0.01),
        "pli": entry(0.001, 0.04),
        "prior": {"leak": None},
    }
    correct_for_many(attacks, "gap", "owner", "success")
    assert [attacks[name]["leak"]["p_holm"] for name in ("gap", "ridge", "pli")] == [None, 0.02, 0.04]
    correct_for_many(attacks, "gap", "chosen", "success")
    assert attacks["pli"]["leak"]["p_holm"] == 0.002


@pytest.mark.parametrize("paired", [True, False])
def test_where_likeness_decides_its_p_is_corrected(paired: bool) -> None:
    from logitleak.stages.evaluate import correct_for_many

    def entry(p: float) -> dict[str, Any]:
        chosen = {"leak": {"p": 1.0}, "wins": None, "auc": None, "wins" if paired else "auc": {"p": p}}
        return {"leak": {"chosen": chosen, "owner": None, "p_holm": None}}

    attacks = {"gap": entry(0.5), "ridge": entry(0.01), "pli": entry(0.04)}
    correct_for_many(attacks, "gap", "chosen", "wins")
    assert [attacks[name]["leak"]["p_holm"] for name in ("gap", "ridge", "pli")] == [None, 0.02, 0.04]
