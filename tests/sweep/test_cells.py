"""The grid of a sweep."""

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from logitleak.errors import UserError
from logitleak.sweep.cells import ATTACK, Cell, expand
from logitleak.sweep.compute import seconds_of
from logitleak.sweep.config import load

WriteSweep = Callable[..., Path]


def cells(path: Path) -> list[Cell]:
    return expand(load(path))


def test_attacks_share_a_federation(write_sweep: WriteSweep) -> None:
    found = cells(write_sweep())
    assert [cell.axes for cell in found] == [
        {"scheme": scheme, "attack": attack} | ({"tau": tau} if tau else {})
        for scheme in ("fedmd", "dsfl")
        for attack, tau in (("ridge", None), ("pli", 3), ("pli", 10))
    ]
    assert len({cell.federation for cell in found}) == 2
    assert len({cell.id for cell in found}) == 6
    assert found[2].config.attacks[ATTACK].settings["tau"] == 10
    assert "tau" not in found[0].config.attacks[ATTACK].settings


def test_a_named_bundle_changes_several_settings(write_sweep: WriteSweep) -> None:
    bundle = {
        "few": {"federation.clients": 1, "attacks.pli.settings.gamma": 0},
        "many": {"federation.clients": 2, "attacks.pli.settings.gamma": 0.1},
    }
    found = cells(write_sweep(grid={"size": bundle, "seed": [0, 1]}))
    assert len(found) == 8
    pli = [cell for cell in found if cell.attack == "pli"]
    assert [(c.axes["size"], c.config.federation.clients, c.config.attacks[ATTACK].settings["gamma"]) for c in pli] == [
        ("few", 1, 0), ("few", 1, 0), ("many", 2, 0.1), ("many", 2, 0.1)
    ]  # fmt: skip
    assert [c.config.seed for c in pli] == [0, 1, 0, 1]


def test_attacks_may_differ_by_scheme(write_sweep: WriteSweep) -> None:
    bundle = {
        "logits": {"federation.scheme": "fedmd", "attacks": {"ridge": {}}},
        "weights": {"federation.scheme": "fedavg", "attacks": {"gradients": {"settings": {"steps": 2}}}},
    }
    found = cells(write_sweep(grid={"shared": bundle}))
    assert [(c.axes["shared"], c.attack) for c in found] == [("logits", "ridge"), ("weights", "gradients")]
    path = write_sweep(grid={"shared": bundle, "attacks.ridge.settings.gamma": [0.1, 1]})
    only = expand(load(path, only=["attack=ridge"]))
    assert [(c.axes["shared"], c.axes["gamma"]) for c in only] == [("logits", 0.1), ("logits", 1)]
    with pytest.raises(UserError, match=r'wants the attack "rigde".*the grid.*Did you mean "ridge"'):
        expand(load(path, only=["attack=rigde"]))


def test_the_id_is_the_content(write_sweep: WriteSweep) -> None:
    """A cell is found again in another grid, whatever its axes are called there."""
    wide = {cell.id for cell in cells(write_sweep())}
    narrow = {cell.id for cell in cells(write_sweep(grid={"s": {"one": {"federation.scheme": "dsfl"}}}))}
    assert len(narrow & wide) == 1  # ridge; pli has another tau now


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"federation.clientz": [1]}, 'no setting "federation.clientz".*"clients"'),
        ({"federation.scheme": ["fedmdd"]}, 'No scheme is called "fedmdd".*"fedmd"'),
        ({"attacks.pli.settings.gama": [1]}, 'no setting "gama".*"gamma"'),
        ({"attacks.plii.settings.tau": [1]}, '"plii".*nor the grid has one of this name'),
        ({"federation.clients": []}, "has no values"),
        ({"federation.clients": [1, 1]}, "names a value twice"),
        ({"federation.clients": [1, 7]}, "clients 7: .*more than the 2 targets"),
        ({"federation.clients": 3}, "grid"),
        ({"attacks": [{}]}, "no cell"),
        ({"a": {"x": {"seed": 1}}, "federation.a": [1]}, 'no setting "federation.a"'),
        ({"lr": {"x": {"seed": 1}}, "federation.lr": [1]}, 'two axes .*"lr"|Two axes .*"lr"'),
        ({"federation.lr": [1], "attacks.pli.settings.lr": [1]}, 'Two axes .*"lr"'),
        ({"attack": {"x": {"seed": 1}}}, 'cannot be called "attack"'),
        ({"federation.lr": [float("nan")]}, "neither text, nor a finite number"),
        ({"seed": [datetime.date(2020, 1, 1)]}, "put dates in quotes"),
        ({"data.targets": [2, 2.0]}, "names a value twice"),
    ],
)
def test_what_is_wrong_with_a_grid(write_sweep: WriteSweep, grid: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        cells(write_sweep(grid=grid))


def test_unlabelled_data_and_a_prior_that_needs_labels(write_sweep: WriteSweep) -> None:
    grid = {"federation.scheme": ["fedmd", "dsfl"], "attacks.pli.prior": ["paired"]}
    with pytest.raises(UserError, match=r'scheme dsfl.*: The attack .*needs labels.*"mean"'):
        cells(write_sweep(grid=grid))


def test_a_base_beside_the_sweep(write_sweep: WriteSweep, tmp_path: Path) -> None:
    path = write_sweep(base="base.yaml", grid={"seed": [0, 1]})
    with pytest.raises(UserError, match="no config file"):
        load(path)
    (tmp_path / "base.yaml").write_text("data: {targets: 10}\nattacks: [ridge]\n")
    assert [cell.config.data.targets for cell in cells(path)] == [10, 10]
    changed = expand(load(path, ("data.targets=5",)))
    assert [cell.config.data.targets for cell in changed] == [5, 5]


def test_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    with pytest.raises(UserError, match="no config file"):
        load(path)
    path.write_text("- 1")
    with pytest.raises(UserError, match="keys and values"):
        load(path)
    path.write_text("gird: {}")
    with pytest.raises(UserError, match='no setting "gird".*"grid"'):
        load(path)


def test_a_part_of_the_grid(write_sweep: WriteSweep) -> None:
    bundle = {"few": {"federation.clients": 1}, "many": {"federation.clients": 2}}
    path = write_sweep(grid={"size": bundle, "seed": [0, 1, 2], "attacks.pli.settings.tau": [3, 10]})
    whole = {cell.id for cell in cells(path)}
    part = expand(load(path, only=["size=few", "seed=[0, 2]", "tau=10"]))
    assert [(c.axes["size"], c.axes["seed"], c.attack) for c in part] == [
        ("few", seed, attack) for seed in (0, 2) for attack in ("ridge", "pli")
    ]
    assert {cell.id for cell in part} < whole
    with pytest.raises(UserError, match='no axis "sed".*"seed"'):
        load(path, only=["sed=0"])
    with pytest.raises(UserError, match="has no value 7. There is: 0, 1, 2"):
        load(path, only=["seed=7"])
    assert {c.attack for c in expand(load(path, only=["attack=ridge"]))} == {"ridge"}
    assert len(expand(load(path, only=["attacks.pli.settings.tau=3", "size=few"]))) == 6


def test_labels_that_yaml_reads_as_something_else(write_sweep: WriteSweep) -> None:
    found = cells(write_sweep(grid={"k": {1: {"federation.clients": 1}, False: {"seed": 3}, "plain": None}}))
    assert [cell.axes["k"] for cell in found] == ["1", "1", "False", "False", "plain", "plain"]


def test_a_message_names_the_attack_and_its_place(write_sweep: WriteSweep) -> None:
    grid = {"federation.scheme": ["dsfl"], "attacks.pli.prior": ["mean", "paired"]}
    with pytest.raises(
        UserError, match=r'^scheme dsfl: The attack "pli, prior paired" has a prior that needs labels'
    ):
        cells(write_sweep(grid=grid))


@pytest.mark.parametrize("said", ["[]", '{"attack": "long"}'])
def test_damaged_seconds(tmp_path: Path, said: str) -> None:
    assert seconds_of(tmp_path) is None
    (tmp_path / "seconds.json").write_text('{"attack": 2.5}')
    assert seconds_of(tmp_path) == 2.5
    (tmp_path / "seconds.json").write_text(said)
    with pytest.raises(UserError, match="says no seconds; remove it"):
        seconds_of(tmp_path)


def test_axes_that_change_nothing_are_refused(write_sweep: WriteSweep) -> None:
    for axis, values in (("candidates", [0, 8]), ("baselines", [True, False])):
        with pytest.raises(UserError, match=f'"{axis}" changes nothing.*set it in the base'):
            cells(write_sweep(grid={axis: values}))


def test_what_is_shown_lies_along_axes_of_the_grid(write_sweep: WriteSweep) -> None:
    show = [{"kind": "table", "title": "All", "rows": ["attack", "sheme"]}]
    with pytest.raises(UserError, match=r'"All" is to be shown along an axis "sheme".*Did you mean "scheme"'):
        cells(write_sweep(show=show))
