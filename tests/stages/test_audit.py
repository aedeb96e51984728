"""The audit of whole runs: every scheme and game, without the truth, through a capture, and from the command line."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import logitleak
from logitleak import registry
from logitleak.audits.identity import OFFLINE, ONLINE
from logitleak.cli import main
from logitleak.errors import UserError
from logitleak.files.storage import read_tensors
from logitleak.formats import AuditFile
from logitleak.progress import Quiet
from logitleak.report import audit_findings
from logitleak.sealed.files import read_truth, write_truth
from logitleak.stages.audit import _Battery
from logitleak.stages.candidates import draw_candidates
from logitleak.stages.folder import RunFolder

SEED = 3
"""One by which decoys leave nobody without images."""

Tiny = Callable[..., dict[str, Any]]
People = Callable[..., Path]


@pytest.fixture
def tiny(tiny_config: Tiny, people: People, tmp_path: Path) -> Tiny:
    """Eight people with ten images, four of them targets, two clients, no attack; changes go section by section."""
    home = people(tmp_path / "people", identities=8, images=10)

    def make(**changes: Any) -> dict[str, Any]:
        values = tiny_config(home, targets=4)
        values["attacks"] = {}
        for section, change in changes.items():
            values[section] = {**values.get(section, {}), **change} if isinstance(change, dict) else change
        return values

    return make


def of(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["audits"] if one["audit"] == name)


def primary(question: dict[str, Any], place: int = 0) -> dict[str, Any]:
    result: dict[str, Any] = question["views"][place]["variants"][0]
    return result


@pytest.mark.parametrize("scheme", ["fedmd", "dsfl", "fedgems"])
@pytest.mark.parametrize("design", ["none", "twins", "decoys"])
def test_every_scheme_and_game(scheme: str, design: str, tiny: Tiny, tmp_path: Path) -> None:
    run = logitleak.run(
        tiny(federation={"scheme": scheme, "settings": {}}, game={"design": design}, candidates=8, seed=SEED),
        tmp_path / "run",
    ).path
    result = logitleak.audit(run, fast=True)
    found = json.loads((run / "audit.json").read_text())
    AuditFile.checked(found)
    assert result.report.read_text().count("<section") == len(registry.names("audit")) + 3
    assert [one["audit"] for one in found["audits"]] == registry.names("audit")
    identity = of(found, "identity")
    assert identity["views"][0]["onlooker"] == "server"
    assert {"sum", "hard labels", "last round"} <= {one["onlooker"] for one in identity["views"]}
    assert (primary(identity).get("game") is None) == (design == "none")
    assert primary(identity)["clients"]["area"]["positives"] > 0
    assert (primary(identity)["epsilon"]["none"] is None) == (design == "decoys")
    assert primary(of(found, "shares"))["shares"]["mean"]["total_variation"] is not None
    for name in ("never-queried", "queried"):
        assert primary(of(found, name))["game"]["area"]["positives"] >= 1
    assert of(found, "stealing")["views"][0]["refused"].endswith("leave out --fast.")
    assert len(audit_findings(run)) == len(registry.names("audit")) + 1


def test_students_are_trained_and_models_compared(tiny: Tiny, tmp_path: Path) -> None:
    run = logitleak.run(tiny(game={"design": "twins"}, candidates=8), tmp_path / "run").path
    logitleak.audit(run)
    found = json.loads((run / "audit.json").read_text())
    names = [one["variant"] for one in of(found, "stealing")["views"][0]["variants"]]
    assert names == [
        "last round",
        "all rounds",
        "server's own model",
        "public labels",
        "student of the server",
    ]
    models = [one["models"] for one in of(found, "stealing")["views"][0]["variants"]]
    assert all(0 <= one["agreement"]["value"] <= 1 for one in models)
    assert [one["gain"] is None for one in models] == [False, False, True, True, True]
    variants = [one["variant"] for one in of(found, "never-queried")["views"][0]["variants"]]
    assert {"linear", "students, last round", "Distillation LiRA, last round"} <= set(variants)


def test_attacks_are_rivals(tiny: Tiny, tmp_path: Path) -> None:
    values = tiny(game={"design": "twins"}) | {"attacks": ["ridge"]}
    run = logitleak.run(values, tmp_path / "run").path
    logitleak.audit(run, fast=True)
    found = json.loads((run / "audit.json").read_text())
    rival = of(found, "identity")["views"][0]["variants"][-1]
    assert rival["variant"] == "choice of the attack ridge"
    named = json.loads((run / "metrics.json").read_text())["attacks"]["ridge"]["owner_named"]
    assert rival["clients"]["named"]["trials"] == 4
    assert abs(rival["clients"]["named"]["value"] - named["value"]) <= 0.5


def test_single_images_as_units_have_coins_of_their_own(tiny: Tiny, tmp_path: Path) -> None:
    game = {"design": "twins", "unit": "image"}
    values = tiny(data={"partition": "iid"}, game=game, candidates=8)
    run = logitleak.run(values, tmp_path / "run").path
    logitleak.audit(run, fast=True)
    found = json.loads((run / "audit.json").read_text())
    assert "game" not in primary(of(found, "identity"))  # a coin about one image is not about its person
    assert "single images" in primary(of(found, "identity"))["epsilon"]["none"]
    queried = primary(of(found, "queried"))["game"]
    assert queried["area"]["positives"] == queried["area"]["negatives"] == 4
    assert queried["pairs"]["trials"] + queried["pairs"]["ties"] == 4


def test_candidates_change_nothing_and_replies_are_what_clients_say(tiny: Tiny, tmp_path: Path) -> None:
    values = tiny()
    plain = logitleak.run(values, tmp_path / "plain").path
    asked = logitleak.run(values | {"candidates": 8}, tmp_path / "asked").path
    for round in (1, 2):
        name = f"wire/round-{round:02d}/upload.safetensors"
        before, after = read_tensors(plain / name), read_tensors(asked / name)
        assert all(torch.equal(before[key], after[key]) for key in before)
        replies = read_tensors(asked / "sealed" / "replies-0" / f"round-{round:02d}.safetensors")["replies"]
        assert replies.shape == (2, 8, 8)
    assert not (plain / "sealed" / "replies-0").exists()


def test_the_order_of_candidates_does_not_say_who_is_in(tiny: Tiny, tmp_path: Path) -> None:
    """Members are drawn first; who is asked gets them mixed, each with what was said of it."""
    run = logitleak.run(tiny(candidates=8), tmp_path / "run").path
    folder = RunFolder(run)
    battery = _Battery(folder, folder.config(), True, "cpu", Quiet())
    (asked,) = battery._asked()["records"]
    assert battery.truth is not None
    members = battery.truth.members
    drawn = draw_candidates(battery.truth.truth, None, 8, folder.config().seed)
    assert members is not None
    assert drawn is not None
    assert len(asked) == 8
    assert members[0].tolist() != drawn.members[0].tolist() == [True] * 4 + [False] * 4
    kept = read_tensors(folder.replies(folder.worlds[0]) / "round-01.safetensors")["replies"]
    for place in range(8):
        (origin,) = [n for n in range(8) if torch.equal(drawn.images[n], asked.images[place])]
        assert bool(members[0, place]) == bool(drawn.members[0, origin])
        assert int(asked.labels[place]) == int(drawn.labels[origin])
        assert int(asked.clients[place]) == int(drawn.clients[origin])
        assert torch.equal(asked.replies[1][:, place], kept[:, origin])


def scores(run: Path) -> dict[str, np.ndarray[Any, Any]]:
    return dict(np.load(run / "audit" / "scores.npz"))


def test_scores_are_exported_twice(tiny: Tiny, tmp_path: Path) -> None:
    run = logitleak.run(tiny(game={"design": "twins"}), tmp_path / "run").path
    logitleak.audit(run, fast=True)
    arrays = scores(run)
    with (run / "audit" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(array.size for array in arrays.values())
    one = [
        r
        for r in rows
        if (r["audit"], r["onlooker"], r["variant"], r["world"]) == ("identity", "server", "round 1", "1")
    ]
    table = arrays["identity/server/round 1/1/0"]
    for row in one:
        assert float(row["score"]) == pytest.approx(table[int(row["client"]), int(row["place"])], rel=1e-8)
    assert len(one) == table.size


def test_nobody_sees_the_truth(tiny: Tiny, tmp_path: Path) -> None:
    """Scores are the same with other private data, and without any; then nothing is judged."""
    run = logitleak.run(tiny(game={"design": "twins"}), tmp_path / "run").path
    logitleak.audit(run, fast=True)
    before = {name: value for name, value in scores(run).items() if name.startswith(("identity", "shares"))}
    swapped, alone = tmp_path / "swapped", tmp_path / "alone"
    shutil.copytree(run, swapped)
    truth = read_truth(swapped / "sealed")
    truth.images.copy_(255 - truth.images)
    truth.owners.copy_(truth.owners.flip(0))
    write_truth(swapped / "sealed", truth)
    shutil.copytree(run, alone)
    shutil.rmtree(alone / "sealed")
    for other in (swapped, alone):
        logitleak.audit(other, fast=True)
        after = scores(other)
        assert all(np.array_equal(value, after[name], equal_nan=True) for name, value in before.items())
    found = json.loads((alone / "audit.json").read_text())
    assert not found["truth"]
    assert set(primary(of(found, "identity"))) == {"variant"}
    graded = {one.audit: one for one in audit_findings(alone)}
    assert graded["identity"].grade == "unknown"
    assert "scores.csv" in graded["identity"].sentence


def test_without_the_truth_there_is_an_estimate(tiny: Tiny, people: People, tmp_path: Path) -> None:
    home = people(tmp_path / "many", identities=24, images=8)
    run = logitleak.run(tiny(data={"root": str(home), "targets": 8}), tmp_path / "run").path
    shutil.rmtree(run / "sealed")
    logitleak.audit(run)
    found = json.loads((run / "audit.json").read_text())
    assert of(found, "identity")["estimate"]["game"]["area"]["positives"] >= 4
    names = {
        seen["onlooker"]: [one["variant"] for one in seen["variants"]]
        for seen in of(found, "identity")["views"]
    }
    assert names["server"][-2:] == [OFFLINE, ONLINE]
    assert names["sum"][:2] == [OFFLINE, ONLINE]
    assert "Estimate" in next(one.sentence for one in audit_findings(run) if one.audit == "identity")
    assert "Estimate" in (run / "audit.html").read_text()


def test_a_capture_says_what_its_run_says(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = logitleak.run(tiny(game={"design": "decoys"}, seed=SEED), tmp_path / "run").path
    main(["export", str(run), "--out", str(tmp_path / "capture")])
    main(["import", str(tmp_path / "capture"), "--out", str(tmp_path / "again")])
    shutil.rmtree(tmp_path / "again" / "sealed", ignore_errors=True)
    shutil.copytree(run / "sealed", tmp_path / "again" / "sealed")  # a capture holds no truth
    capsys.readouterr()
    for path in (run, tmp_path / "again"):
        logitleak.audit(path, fast=True)
    there, back = scores(run), scores(tmp_path / "again")
    both = [name for name in there if name in back]
    assert all(
        "/another client/" in name for name in there if name.startswith("identity") and name not in back
    )
    for name in both:  # a capture does not say what the server sent out
        if name.startswith(("identity", "shares")):
            np.testing.assert_array_equal(there[name], back[name])
    first, second = (json.loads((p / "audit.json").read_text()) for p in (run, tmp_path / "again"))
    assert primary(of(first, "identity"))["game"] == primary(of(second, "identity"))["game"]
    assert primary(of(first, "identity"))["epsilon"] == primary(of(second, "identity"))["epsilon"]
    assert (
        primary(of(first, "identity"))["epsilon"]["bound"] is not None
    )  # the coins came with the sealed folder
    assert "cannot be played again" in second["lab"] or second["fast"]


def test_weights_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    run = logitleak.run(tiny(federation={"scheme": "fedavg", "settings": {}}), tmp_path / "run").path
    with pytest.raises(UserError, match="shares models"):
        logitleak.audit(run)


@pytest.mark.slow
def test_the_command(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = logitleak.run(tiny(game={"design": "twins"}), tmp_path / "run").path
    main(["audit", str(run), "--fast", "--quiet"])
    assert capsys.readouterr().out.strip() == str(run / "audit.html")
    main(["audit", str(run), "--fast", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert set(told["answers"]) == {*registry.names("audit"), "epsilon"}
    with pytest.raises(SystemExit) as ended:
        main(["audit", str(run), "--fast", "--quiet", "--fail-above", "identity=0.01"])
    assert ended.value.code == 1
    assert "is allowed" in capsys.readouterr().err
    for limits, code, said in (
        (["identity=0.01", "epsilon=3"], 1, "is allowed; epsilon was not answered"),
        (["epsilon=3"], 2, "epsilon was not answered, so its limit says nothing: There is no bound"),
        (["identity=0.999"], 2, "could not have been shown to be above 0.999"),
        (["stealing=0.1"], 2, "leave out --fast"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["audit", str(run), "--fast", "--json", "--fail-above", *limits])
        assert ended.value.code == code
        out, err = capsys.readouterr()
        assert said in err + out
        assert set(json.loads(out)["answers"]) == set(told["answers"])
    for wrong, said in (
        (["--fail-above", "identty=0.5"], 'Did you mean "identity"'),
        (["--fail-above", "identity"], "is no limit"),
        (["--fail-above", "identity=high"], "is no limit"),
        (["--fail-above", "shares=0.3"], "there is no limit for it"),
        (["--fail-above", "identity=1"], "allows everything"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["audit", str(run), "--fast", "--quiet", *wrong])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


def test_a_mistake_in_a_limit_costs_no_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is found before anything is computed: the run is not even looked for."""
    with pytest.raises(SystemExit) as ended:
        main(["audit", str(tmp_path / "none"), "--fail-above", "identty=0.5"])
    assert ended.value.code == 2
    assert 'Did you mean "identity"' in capsys.readouterr().err


def test_a_plan_needs_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    main(["audit", "--plan", "--json"])
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert [row["targets"] for row in plan] == sorted(row["targets"] for row in plan)
    for first, second in itertools.pairwise(plan):
        assert first["twins"] > second["twins"] > 0.5
        assert first["epsilon"] <= second["epsilon"]
    main(["audit", "--plan"])
    assert "largest epsilon" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["audit"])
    assert ended.value.code == 2
    assert "Which run" in capsys.readouterr().err
