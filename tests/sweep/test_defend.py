"""Defenses side by side: what is tried, what is gathered, what is recommended, and how it looks."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import yaml

from logitleak import config as configs
from logitleak import registry, report
from logitleak.cli import main
from logitleak.defenses.dp_budget import has_opacus
from logitleak.errors import UserError
from logitleak.files.storage import read_json, read_tensors, write_json
from logitleak.formats.defend import DefendFile
from logitleak.report.defend.page import _steps
from logitleak.sealed.files import read_game, read_truth
from logitleak.sealed.game import taking_part
from logitleak.sweep.cells import combine
from logitleak.sweep.config import Sweep
from logitleak.sweep.defend import CONFIGURED, NONE, SUM, plan
from logitleak.sweep.frontier import _about_a_client, _bound, _pooled, _strongest, write_frontier
from logitleak.sweep.recommend import hidden, kept, recommend
from logitleak.sweep.table import table

Tiny = Callable[..., dict[str, Any]]


def area(value: float, half: float = 0.05) -> dict[str, Any]:
    return {
        "value": value, "low": value - half, "high": value + half, "seeds": [value], "onlooker": "server",
        "variant": "all rounds", "claim": "game",
    }  # fmt: skip


def gap(value: float, half: float = 0.01) -> dict[str, Any]:
    return {"difference": value, "low": value - half, "high": value + half}


def line(setting: str, identity: float, accuracy: float, gain: float, shown: bool = False) -> dict[str, Any]:
    leak = {
        "value": 0.5,
        "low": 0.2,
        "high": 0.7,
        "p": 0.01,
        "wins": 9,
        "of": 10,
        "wins_p": 0.02,
        "auc": None,
        "auc_p": None,
        "shown": shown,
    }
    return {
        "setting": setting, "defenses": [{"name": setting, "settings": {}}] if setting != NONE else [], "missing": [],
        "leaks": {"gap": leak}, "identity": area(identity), "strongest": area(identity), "records": area(0.5),
        "epsilon": None, "promised": {}, "accuracy": accuracy, "server": 0.5, "own": 0.9, "gain": gap(gain),
        "loss": None if setting == NONE else gap(accuracy - 0.8), "bytes": 1000, "seconds": 2.0,
    }  # fmt: skip


PLAIN = line(NONE, 1.0, 0.8, 0.2, shown=True)
BOUGHT = gap(0.2)


def test_what_is_tried(tiny_config: Tiny) -> None:
    given = tiny_config() | {"defenses": ["round"], "attacks": {"mine": {"attack": "gap"}, "ridge": {}}}
    sweep = plan(configs.parse(given), seeds=[3, 4, 3])
    settings = sweep.grid["defense"]
    assert isinstance(settings, dict)
    assert list(settings)[:2] == [NONE, CONFIGURED]
    assert settings[NONE] == {"defenses": [], "baselines": True}
    tried = {label.split(",")[0] for label in list(settings)[2:]}
    needs_more = set() if has_opacus() else {"dp-sgd"}
    assert tried == {*registry.names("defense"), SUM} - needs_more
    assert sweep.grid["seed"] == [3, 4]
    assert {cell.attack for cell in combine(sweep)} == {"mine"}
    assert isinstance(sweep.base, dict)
    assert sweep.base["game"] == {"design": "twins"}
    assert sweep.base["data"]["held_out"] == 0.25  # one in ten of a few is none
    assert sweep.audit == "full"


def test_a_chosen_strength_alone(tiny_config: Tiny) -> None:
    """To confirm it on fresh seeds, nothing else need run."""
    given = tiny_config() | {"defenses": [{"name": "round", "settings": {"digits": 1}}]}
    sweep = plan(configs.parse(given), only=[CONFIGURED], seeds=[7])
    assert sweep.grid["defense"] == {
        NONE: {"defenses": [], "baselines": True},
        CONFIGURED: {"defenses": configs.parse(given).model_dump(mode="json")["defenses"]},
    }
    with pytest.raises(UserError, match=r"no defenses to try .*--set defenses="):
        plan(configs.parse(tiny_config()), only=[CONFIGURED])


def test_a_sum_is_tried_where_a_mean_is_all_that_the_server_needs(tiny_config: Tiny) -> None:
    given = tiny_config()
    for scheme, tried in (("fedmd", True), ("dsfl", True), ("fedgems", False)):
        config = configs.parse(given | {"federation": {"scheme": scheme, "clients": 2}})
        assert (SUM in plan(config).grid["defense"]) is tried
    sweep = plan(configs.parse(given), only=[SUM])
    aggregations = {cell.config.federation.aggregation.kind for cell in combine(sweep)}
    assert aggregations == {"plain", SUM}


def test_a_fast_one_tries_one_strength_of_each(tiny_config: Tiny) -> None:
    sweep = plan(configs.parse(tiny_config()), fast=True)
    settings = sweep.grid["defense"]
    assert isinstance(settings, dict)
    assert len(settings) == 1 + len({label.split(",")[0] for label in settings} - {NONE})
    assert sweep.audit == "fast"
    assert {cell.attack for cell in combine(sweep)} == {"gap"}


@pytest.mark.parametrize(
    ("only", "said"),
    [(["rond"], 'Did you mean "round"'), (["round", "round"], "named twice; name each once")],
)
def test_what_cannot_be_tried(only: list[str], said: str, tiny_config: Tiny) -> None:
    with pytest.raises(UserError, match=said):
        plan(configs.parse(tiny_config()), only=only)


@pytest.mark.parametrize(
    ("lines", "kind", "setting", "said"),
    [
        (
            [line("a", 0.55, 0.75, 0.15), line("b", 0.55, 0.78, 0.18)],
            "use",
            "b",
            "keep 90% of what federating buys",
        ),
        ([line("a", 0.45, 0.66, 0.06), line("b", 0.9, 0.79, 0.19)], "costly", "a", "keep 30% of"),
        ([line("a", 0.5, 0.6, 0.0)], "costly", "a", "no better than alone"),
        ([line("a", 0.9, 0.7, 0.1), line("b", 0.7, 0.7, 0.1)], "exposed", "b", "B comes nearest (area 0.70)"),
        ([line("a", 0.5, 0.8, 0.2, shown=True)], "exposed", "a", "No setting"),
        ([], "exposed", None, "No setting"),
    ],
)
def test_what_is_recommended(lines: list[dict[str, Any]], kind: str, setting: str | None, said: str) -> None:
    found = recommend([PLAIN, *lines], BOUGHT)
    assert (found["kind"], found["setting"]) == (kind, setting)
    assert said in found["sentence"]


def test_own_classes_count_as_much() -> None:
    others, mine = line("a", 0.5, 0.79, 0.19) | {"own": 0.6}, line("b", 0.5, 0.75, 0.15)
    assert recommend([PLAIN, others, mine], BOUGHT)["setting"] == "b"


def test_what_it_costs_on_own_classes_is_said() -> None:
    found = recommend([PLAIN, line("a", 0.55, 0.75, 0.15) | {"own": 0.6}], BOUGHT)
    assert found["sentence"].endswith("a client is right in 60%, and 90% without it.")


def test_where_nothing_is_bought() -> None:
    bought = gap(0.005)
    dear = line("a", 0.5, 0.7, -0.1)
    free = line("b", 0.5, 0.8, 0.0)
    assert recommend([PLAIN, dear, free], bought)["setting"] == "b"
    assert "not shown to buy anything" in recommend([PLAIN, dear], bought)["sentence"]
    assert not kept(dear, bought)
    assert kept(free, bought)


def test_where_nothing_leaks_or_nothing_is_known() -> None:
    quiet = line(NONE, 0.52, 0.8, 0.2)
    assert recommend([quiet, line("a", 0.5, 0.8, 0.2)], BOUGHT)["kind"] == "needless"
    blank = quiet | {"identity": None, "strongest": None}
    assert recommend([blank], None)["kind"] == "unknown"


@pytest.mark.parametrize(("value", "is_hidden"), [(0.6, True), (0.4, True), (0.61, False), (0.39, False)])
def test_the_bar(value: float, is_hidden: bool) -> None:
    assert hidden(line("a", value, 0.8, 0.2)) is is_hidden


def test_single_images_count() -> None:
    assert not hidden(line("a", 0.5, 0.8, 0.2) | {"records": area(0.6)})
    assert hidden(line("a", 0.5, 0.8, 0.2) | {"records": None})


def test_the_page(tmp_path: Path) -> None:
    odd = line("<b>a</b>", 0.55, 0.78, 0.18) | {
        "promised": {"a": "ε = 1 at δ = 0"},
    }
    bare = line("c", 0.5, 0.5, 0.0) | {
        "leaks": {}, "identity": None, "strongest": None, "records": None, "accuracy": None, "server": None,
        "own": None, "gain": None, "loss": None, "bytes": None, "seconds": None, "missing": ["gap, seed 0: it died"],
    }  # fmt: skip
    lines = [PLAIN, odd, bare]
    found = {
        "format": 1, "title": "synthetic", "noun": "person", "seeds": [0], "scheme": "fedmd", "clients": 4, "rounds": 3,
        "targets": 20, "versions": {}, "measure": "success", "fast": True, "bought": BOUGHT, "hidden": 0.1, "kept": 0.5,
        "lines": lines, "recommendation": recommend(lines, BOUGHT),
    }  # fmt: skip
    write_json(tmp_path / "defend.json", DefendFile.checked(found))
    text = report.build_defend(tmp_path).read_text(encoding="utf-8")
    assert "&lt;b&gt;a&lt;/b&gt;" in text
    assert "<b>a</b>" not in text
    assert "A defense was found" in text
    assert "--seeds 1 2 3" in text
    assert "ε = 1 at δ = 0" in text
    assert "it died" in text
    assert (tmp_path / "frontier.svg").read_text().count("<circle") == 2
    with pytest.raises(report.ReportError, match="logitleak defend"):
        report.build_defend(tmp_path / "elsewhere")


@pytest.fixture
def tried(tmp_path: Path, tiny_config: Tiny, people: Callable[..., Path]) -> Path:
    """A federation of two clients, bare and with `toward-public` at its strongest."""
    values = tiny_config(people(tmp_path / "people", identities=24), targets=8)
    values["federation"] = {"clients": 2, "rounds": 2, "batch": 16}
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(values))
    return path


@pytest.mark.slow
def test_the_command(tried: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    given = [
        "defend",
        str(tried),
        "--fast",
        "--only",
        "toward-public",
        "--seeds",
        "0",
        "1",
        "--out",
        str(out),
    ]
    main([*given, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [one["setting"] for one in found["lines"]] == [NONE, "toward-public, share 0.9"]
    assert found["seeds"] == [0, 1]
    assert not any(one["missing"] for one in found["lines"])

    # what is said of accuracy, by hand
    federations = {}
    for row in table(out):
        federations[row["axes"]["defense"], row["axes"]["seed"]] = out / "federations" / row["federation"]
    gains = []
    for seed in (0, 1):
        bare, defended = (federations[one["setting"], seed] / "sealed" for one in found["lines"])
        used, kept = taking_part(read_truth(bare), read_game(bare))
        labels = read_truth(bare).held_labels[kept]
        shown = torch.isin(
            labels, read_truth(bare).labels[used]
        )  # public people say nothing of what is federated
        assert 0 < int(shown.sum()) < len(shown)
        alone = read_tensors(bare / "baselines.safetensors")["alone"]
        mine = read_tensors(defended / "predicted.safetensors")["clients"]
        gain = (mine == labels).double().mean(0) - (alone == labels).double().mean(0)
        gains += gain[shown].tolist()
    assert found["lines"][1]["gain"]["difference"] == pytest.approx(sum(gains) / len(gains), abs=1e-5)

    # again: nothing is computed, and what is gone is said
    journal = (out / "journal.jsonl").read_text()
    main([*given, "--quiet"])
    assert (out / "journal.jsonl").read_text() == journal
    (federations[NONE, 0] / "audit.json").unlink()
    assert "audit, seed 0: not computed yet" in write_frontier(out)["lines"][0]["missing"]
    main([*given, "--quiet"])
    assert (out / "journal.jsonl").read_text().count('"audit"') == journal.count('"audit"') + 1
    assert read_json(out / "defend.json") == copy.deepcopy({k: v for k, v in found.items() if k != "report"})


def test_a_sweep_may_audit(tiny_config: Tiny) -> None:
    assert Sweep.model_validate({"audit": "fast"}).audit == "fast"
    assert Sweep().audit == "none"


def test_what_a_coin_is_about() -> None:
    for unit, about in (("person", False), ("person-at-client", True), ("image", True), (None, False)):
        game = None if unit is None else {"unit": unit}
        assert _about_a_client(cast(Any, SimpleNamespace(metrics={"game": game}))) is about


@pytest.mark.parametrize("why", ["gap, seed 0: it died", "audit, seed 0: not computed yet"])
def test_what_was_not_compared_hides_nothing(why: str) -> None:
    """An attack that failed is no attack that found nothing."""
    failed = line("a", 0.52, 0.78, 0.18) | {"leaks": {}, "missing": [why, "and more"]}
    assert not hidden(failed)
    found = recommend([PLAIN, failed], BOUGHT)
    assert (found["kind"], found["setting"], found["hides"]) == ("unknown", None, [])
    assert found["sentence"].endswith(f"Not judged, since something is missing: a ({why}; and 1 more).")
    beside = recommend([PLAIN, failed, line("b", 0.55, 0.75, 0.15)], BOUGHT)
    assert (beside["kind"], beside["setting"]) == ("use", "b")
    assert f"a ({why}; and 1 more)" in beside["sentence"]


def test_without_a_defense_nothing_is_known_either_where_something_is_missing() -> None:
    bare = line(NONE, 0.52, 0.8, 0.2) | {"missing": ["gap, seed 0: it died"]}
    found = recommend([bare, line("a", 0.5, 0.8, 0.2)], BOUGHT)
    assert found["kind"] == "unknown"
    assert "not everything was" in found["sentence"]


def test_what_leaks_for_sure_is_no_unknown() -> None:
    seen = line("a", 0.9, 0.7, 0.1) | {"missing": ["gap, seed 0: it died"]}
    assert recommend([PLAIN, seen], BOUGHT)["kind"] == "exposed"


def test_areas_of_seeds_keep_the_shape_of_their_intervals() -> None:
    """By hand: what is below adds up as squares, and what is above does."""
    one = {"value": 0.72, "low": 0.462, "high": 0.879}
    alone = _pooled([one], "server", "all rounds", "game")
    assert alone is not None
    assert (alone["low"], alone["high"]) == (0.462, 0.879)
    other = {"value": 1.0, "low": 0.8, "high": 1.0}
    found = _pooled([one, other], "server", "all rounds", "game")
    assert found is not None
    assert found["value"] == pytest.approx(0.86)
    assert found["low"] == pytest.approx(0.86 - (0.258**2 + 0.2**2) ** 0.5 / 2, abs=1e-6)
    assert found["high"] == pytest.approx(0.86 + 0.159 / 2, abs=1e-6)


def test_one_bound_is_taken_and_not_the_largest() -> None:
    def result(bound: float | None) -> dict[str, Any]:
        return {"epsilon": None if bound is None else {"bound": bound}}

    identity = {
        ("server", "named"): result(0.5),
        ("sum", "named"): result(3.0),
        ("server", "another"): result(None),
    }
    found = {"identity": identity, "never-queried": {("server", "named"): result(2.0)}}
    assert _bound(cast(Any, SimpleNamespace(results=lambda audit: found[audit]))) == 0.5
    found["identity"] = {("server", "named"): result(None)}
    assert _bound(cast(Any, SimpleNamespace(results=lambda audit: found[audit]))) == 2.0
    found["never-queried"] = {}
    assert _bound(cast(Any, SimpleNamespace(results=lambda audit: found[audit]))) is None


def test_what_failed_is_said_beside_what_was_found(
    tiny_config: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny_config()))
    failed = SimpleNamespace(failed={"cell gap": "the loss is not finite"}, unaudited={})
    monkeypatch.setattr("logitleak.sweep.run.run_sweep", lambda *_, **__: failed)
    monkeypatch.setattr("logitleak.sweep.frontier.write_frontier", lambda out: {"lines": [1]})
    monkeypatch.setattr("logitleak.report.build_defend", lambda out: out / "defend.html")
    with pytest.raises(SystemExit) as end:
        main(["defend", str(tmp_path / "config.yaml"), "--json", "--out", str(tmp_path / "out")])
    assert end.value.code == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "report": str(tmp_path / "out" / "defend.html"), "lines": [1],
        "error": "1 of its parts failed; the same command tries them again.",
    }  # fmt: skip
    assert "cell gap failed: the loss is not finite" in said.err


def test_the_command_that_confirms_a_setting() -> None:
    """It can be pasted into a shell, and tries this setting alone."""
    entry = {"name": "toward-public", "settings": {"share": 1.0}, "clients": None}
    found = {"seeds": [0], "fast": False, "lines": [
        {"setting": "toward-public, share 1", "defenses": [entry]}, {"setting": SUM, "defenses": []},
    ]}  # fmt: skip
    for setting, wanted in (("toward-public, share 1", CONFIGURED), (SUM, SUM)):
        *_, command = next(iter(_steps(found, {"kind": "use", "setting": setting})))
        words = shlex.split(command or "")
        assert words[:4] == ["logitleak", "defend", "CONFIG", "--only"]
        assert words[4] == wanted
        assert words[-4:] == ["--seeds", "1", "2", "3"]
        if wanted == CONFIGURED:
            assert json.loads(words[6].removeprefix("defenses=")) == [entry]


def test_naming_clients_counts_where_who_took_part_is_hidden() -> None:
    """Who holds somebody may be plain where the same client's worlds cannot be told apart."""

    def tried(by_coins: float, by_client: float | None) -> Any:
        result = {
            "game": {"area": {"value": by_coins, "low": 0.3, "high": 0.7}},
            "clients": {"area": by_client and {"value": by_client, "low": 0.4, "high": 1.0}},
        }
        return SimpleNamespace(audit={"audits": []}, results=lambda audit: {("server", "all rounds"): result})

    found = _strongest(cast(Any, [tried(0.55, 0.9), tried(0.45, 0.8)]))
    assert found is not None
    assert (found["value"], found["claim"]) == (pytest.approx(0.85), "clients")
    alone = _strongest(cast(Any, [tried(0.6, None)]))  # behind a sum clients are not told apart
    assert alone is not None
    assert (alone["value"], alone["claim"]) == (0.6, "game")
