"""Attacks see the server's side and nothing else, as a matter of fact and not of trust."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
from logitleak import registry
from logitleak.attacks.base import create
from logitleak.config import parse
from logitleak.files.storage import read_tensors
from logitleak.progress import Quiet
from logitleak.sealed.files import read_truth, write_truth
from logitleak.stages.attack import attack as attack_stage
from logitleak.stages.run import attack_run
from logitleak.wire.transcript import Transcript

SMALL: dict[str, dict[str, Any]] = {
    "cpl": {"steps": 1, "evaluations": 3},
    "dlg": {"steps": 1, "evaluations": 3},
    "gradients": {"steps": 3},
    "gs": {"steps": 3},
    "idlg": {"steps": 1, "evaluations": 3},
    "mgan-ai": {"steps": 3, "gan_steps": 2, "gan_batch": 4, "gan_filters": 4},
    "mi-face": {"steps": 3},
    "pli": {"width": 16, "batch": 4, "steps": 3},
    "secret-revealer": {"steps": 3, "gan_steps": 2, "gan_batch": 4, "gan_filters": 4},
    "tbi": {"width": 16, "batch": 4, "steps": 3},
}
# by default these take minutes
SMALL |= {name: {"steps": 1} for name in ("gs", "dlg", "idlg", "cpl", "mi-face")}


def attack_all(run: Path, out: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Every registered attack that a run's transcript is enough for; all tensors it writes."""
    found = {}
    config = parse(
        {"attacks": {name: {"settings": SMALL.get(name, {})} for name in registry.names("attack")}}
    )
    for name, entry in config.attacks.items():
        if not create(name).needs <= Transcript(run).provides:
            continue
        attack_stage(Transcript(run), name, entry, 0, "cpu", out / name, out / "priors", Quiet())
        found[name] = read_tensors(out / name / "final.safetensors")
        found[name] |= read_tensors(out / name / "round-01.safetensors")
    return found


def assert_equal(a: dict[str, dict[str, torch.Tensor]], b: dict[str, dict[str, torch.Tensor]]) -> None:
    assert a
    assert a.keys() == b.keys()
    for name in a:
        assert all(torch.equal(a[name][key], b[name][key]) for key in a[name]), name


def test_the_sealed_folder_may_be_absent(run_of_every_scheme: Path, tmp_path: Path) -> None:
    with_truth = attack_all(run_of_every_scheme, tmp_path / "with")
    alone = tmp_path / "alone"
    shutil.copytree(run_of_every_scheme / "wire", alone / "wire")
    assert_equal(with_truth, attack_all(alone, tmp_path / "without"))


def test_swapped_private_data_changes_nothing(run_of_every_scheme: Path, tmp_path: Path) -> None:
    before = attack_all(run_of_every_scheme, tmp_path / "before")
    swapped = tmp_path / "swapped"
    shutil.copytree(run_of_every_scheme, swapped)
    truth = read_truth(swapped / "sealed")
    truth.images.copy_(255 - truth.images)
    truth.owners.copy_(truth.owners.flip(0))
    write_truth(swapped / "sealed", truth)
    assert_equal(before, attack_all(swapped, tmp_path / "after"))


def test_without_truth_a_report_is_written_and_holds_no_score(finished_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    shutil.rmtree(run / "sealed")
    entry = parse({"attacks": {"again": {"attack": "ridge"}}}).attacks["again"]
    result = attack_run(run, "again", entry)
    assert result.report.exists()
    assert "accuracy" not in result.metrics["attacks"]["again"]
    assert not (run / "gallery.safetensors").exists()
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["confidence"] is None


def test_from_python(finished_run: Path) -> None:
    rebuilt = logitleak.attack(finished_run, "ridge", lam=0.1)
    stored = Transcript(finished_run)
    assert rebuilt.images.shape[:2] == (stored.clients, len(stored.knowledge.target_labels))
    with pytest.raises(logitleak.UserError, match="no setting"):
        logitleak.attack(finished_run, "ridge", lamb=0.1)
