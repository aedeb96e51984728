"""What trackers are told of a run and of a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from logitleak.errors import UserError
from logitleak.trackers.record import records


def test_settings_numbers_and_rounds_of_a_run(run_folder: Path) -> None:
    (found,) = records(run_folder)
    assert found.name == "first"
    assert found.settings == {
        "seed": 3, "noun": "person", "data.targets": 4, "federation.models": ["cnn"],
    }  # fmt: skip
    assert found.tags == {
        "logitleak": "1.2.3", "config_hash": "abc", "scheme": "fedmd", "data": "synthetic",
        "synthetic": "True", "game": "twins", "primary": "gap",
    }  # fmt: skip
    assert found.numbers == {
        "time/federation_seconds": 2.5, "time/peak_memory_mib": 100.0, "time/threads": 1.0,
        "gap/accuracy": 0.4, "gap/accuracy_low": 0.2, "gap/accuracy_high": 0.8, "gap/too_close_to_public": 0.2,
        "gap/ssim": 0.6, "gap/mse": 0.02, "gap/psnr": 17.0, "gap/tv": 0.05,
        "gap/leak": 0.3, "gap/leak_low": 0.1, "gap/leak_high": 0.5, "gap/leak_p": 0.04, "gap/in": 0.45,
        "gap/out": 0.15, "gap/wins": 0.9, "gap/ssim_in": 0.6, "gap/ssim_out": 0.4,
        "utility/server": 0.7, "utility/clients": 0.4, "federation/bytes_received": 60.0,
    }  # fmt: skip
    assert found.rounds == {
        1: {
            "gap/round_accuracy": 0.1, "gap/round_too_close_to_public": 0.05, "gap/round_ssim": 0.2,
            "gap/round_leak": 0.05, "federation/bytes_round": 20.0,
            "utility/round_server": 0.6, "utility/round_clients": pytest.approx(0.3),
        },
        2: {
            "gap/round_accuracy": 0.2, "gap/round_too_close_to_public": 0.1, "gap/round_ssim": 0.4,
            "federation/bytes_round": 40.0,
        },
    }  # fmt: skip


def test_nobody_is_named(run_folder: Path) -> None:
    assert "Ada" not in repr(records(run_folder))


def test_a_run_without_truth_utility_and_times(run_folder: Path) -> None:
    metrics = json.loads((run_folder / "metrics.json").read_text())
    metrics |= {"game": None, "utility": None, "federation": {"losses": [], "bytes": []}}
    metrics["attacks"] = {"gap": metrics["attacks"]["unscored"]}
    (run_folder / "metrics.json").write_text(json.dumps(metrics))
    (run_folder / "timings.json").unlink()
    (found,) = records(run_folder)
    assert (found.numbers, found.rounds) == ({}, {})
    assert "game" not in found.tags


@pytest.mark.parametrize(
    ("name", "key"),
    [("metrics.json", "attacks"), ("metrics.json", "federation"), ("timings.json", "threads")],
)
def test_a_damaged_file_is_told_in_one_line(run_folder: Path, name: str, key: str) -> None:
    file = run_folder / name
    whole = json.loads(file.read_text())
    for damage in (
        "{",
        "[]",
        json.dumps(whole | {key: "many"}),
        json.dumps(dict.fromkeys(whole.keys() - {key})),
    ):
        file.write_text(damage)
        with pytest.raises(UserError) as error:
            records(run_folder)
        assert str(error.value).startswith(str(file))
        assert "\n" not in str(error.value)


def test_the_finished_cells_of_a_sweep(tmp_path: Path) -> None:
    row = {"axes": {"attack": "gap", "tau": 3}, "id": "c1", "federation": "f1", "seed": 2, "error": None}
    rows = [
        row | {"status": "finished", "accuracy": 0.5, "successes": 4, "owner_leak": None, "seconds": 1.5},
        row | {"status": "failed", "error": "no memory", "accuracy": None},
        row | {"status": "missing", "accuracy": None},
    ]
    (tmp_path / "sweep.json").write_text("{}")
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = records(tmp_path)
    assert found.name == "attack=gap, tau=3, seed=2"
    assert found.settings == {"attack": "gap", "tau": 3, "seed": 2}
    assert found.tags == {"cell": "c1", "federation": "f1"}
    assert found.numbers == {"accuracy": 0.5, "successes": 4.0, "seconds": 1.5}


def test_what_is_no_folder_of_ours_or_not_finished_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither the folder of a run nor of a sweep"):
        records(tmp_path)
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(UserError, match="has no numbers yet"):
        records(tmp_path)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(UserError, match="No cell of .* is finished"):
        records(tmp_path)
    for line in ("{", "[]", '{"status": "finished"}'):
        (tmp_path / "table.jsonl").write_text(line + "\n")
        with pytest.raises(
            UserError, match=r"table.jsonl, line 1, is no cell of a sweep; give `logitleak sweep`"
        ):
            records(tmp_path)
