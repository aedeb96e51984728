"""Run folders and transcripts that are damaged, or of something else: one line and exit code 2."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from logitleak import cli
from logitleak.files.storage import read_json, read_tensors, write_json, write_tensors

People = Callable[..., Path]
Fails = Callable[..., str]
Process = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("attack", "is no run folder: there is no config.yaml in it"),
        ("report", "is neither the folder of a run nor of a sweep"),
    ],
)
def test_no_run_folder(command: str, message: str, fails: Fails, tmp_path: Path) -> None:
    assert message in fails(command, tmp_path)
    assert message.split(":")[0] in fails(command, tmp_path / "none")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--attack", "rigde"], 'No attack is called "rigde". Did you mean "ridge"?'),
        (["--prior", "men"], 'No prior is called "men"'),
        (["--name", "x", "--set", "tau=0"], 'attack ridge: "tau": Input should be greater than 0'),
        (["--name", "x", "--set", "tau=.nan"], '"tau" must be a finite number'),
        (["--name", "x", "--set", "alpha=-1"], '"alpha": Input should be greater than 0'),
        (["--name", "x", "--set", "tua=1"], 'attack ridge has no setting "tua". Did you mean "tau"?'),
        (["--name", "x", "--set", "tau", "3"], '"tau" is no override; write key=value, for example tau=3.'),
        (["--set", "tau=2"], 'holds an attack "ridge" with other settings; give this one another --name'),
        (["--name", "../x"], "An attack cannot be called '../x'"),
        (["--name", "prior"], "trivial rival"),
        (["--attack", "pli", "--name", "x", "--set", "batch=99"], "batch is 99"),
    ],
)
def test_bad_attacks(arguments: list[str], message: str, run_folder: Path, fails: Fails) -> None:
    before = (run_folder / "config.yaml").read_bytes()
    assert message in fails("attack", run_folder, *arguments)
    assert (run_folder / "config.yaml").read_bytes() == before


def damage_nan(wire: Path) -> None:
    table = read_tensors(wire / "round-02/upload.safetensors")
    table["client-1/logits"][2, 1] = float("nan")
    write_tensors(wire / "round-02/upload.safetensors", table)


def damage_classes(wire: Path) -> None:
    table = read_tensors(wire / "round-01/upload.safetensors")
    table["client-0/logits"] = table["client-0/logits"][:, :-1]
    write_tensors(wire / "round-01/upload.safetensors", table)


def damage_rows(wire: Path) -> None:
    table = read_tensors(wire / "round-01/upload.safetensors")
    table["client-0/logits"] = table["client-0/logits"][:-1]
    write_tensors(wire / "round-01/upload.safetensors", table)


def damage_row_ids(wire: Path) -> None:
    table = read_tensors(wire / "round-01/upload.safetensors")
    table["sent/rows"] = torch.arange(len(table["client-0/logits"])) + 10**6
    write_tensors(wire / "round-01/upload.safetensors", table)


def damage_missing(wire: Path) -> None:
    shutil.rmtree(wire / "round-01")


def damage_truncated(wire: Path) -> None:
    path = wire / "round-02/own.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def damage_manifest(wire: Path) -> None:
    write_json(wire / "manifest.json", read_json(wire / "manifest.json") | {"formta": 1})


def damage_all(wire: Path) -> None:
    shutil.rmtree(wire)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_nan, "upload of client 1 in round 2 holds 1 values that are NaN"),
        (damage_classes, "classes of the manifest"),
        (damage_rows, "rows, classes of the manifest"),
        (damage_row_ids, "row ids must be in 0.."),
        (damage_missing, "lacks round 1"),
        (damage_truncated, "is damaged or no safetensors file"),
        (damage_manifest, "is no manifest of format 1"),
        (damage_all, "holds no transcript"),
    ],
)
def test_damaged_transcripts(
    damage: Callable[[Path], None], message: str, run_folder: Path, fails: Fails
) -> None:
    damage(run_folder / "wire")
    assert message in fails("attack", run_folder, "--name", "again", "--quiet")
    assert not (run_folder / "attacks" / "again" / "attack.json").exists()


def test_a_damaged_truth(run_folder: Path, fails: Fails) -> None:
    write_tensors(run_folder / "sealed" / "truth.safetensors", {"images": torch.zeros(1)})
    assert 'holds no tensor called "labels"' in fails("report", run_folder, "--quiet")


@pytest.mark.parametrize(("file", "text"), [("config.yaml", "{"), ("run.json", "[]")])
def test_a_run_that_nobody_can_open_is_not_valid(
    file: str, text: str, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run_folder / file).write_text(text)
    with pytest.raises(SystemExit) as end:
        cli.main(["validate", str(run_folder)])
    assert end.value.code == 2
    assert file in capsys.readouterr().out


def test_a_folder_where_a_file_is_wanted(fails: Fails, tmp_path: Path) -> None:
    for command in ("run", "sweep"):
        assert "is a folder; give the YAML file" in fails(command, tmp_path)
    (tmp_path / "file.txt").write_text("text")
    for arguments in (["init"], ["data", "prepare", "images", "--root"]):
        assert "is a file where a folder is wanted; check data.root" in fails(
            *arguments, tmp_path / "file.txt"
        )
    assert "is no folder; give the folder of a capture" in fails(
        "import", tmp_path / "file.txt", "--out", tmp_path / "o"
    )


def test_metrics_go_into_a_folder(run_folder: Path, fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("text")
    assert "is a file; give --out a folder" in fails(
        "export-metrics", run_folder, "--to", "mlflow", "--out", tmp_path / "file.txt"
    )


def test_a_report_that_cannot_be_written(run_folder: Path, fails: Fails) -> None:
    shutil.rmtree(run_folder / "figures")
    (run_folder / "figures").write_text("in the way")
    assert "the report cannot be written" in fails("report", run_folder, "--quiet")


def test_another_configuration_in_the_folder(run_folder: Path, fails: Fails) -> None:
    config = run_folder / "config.yaml"
    assert "holds a run with another seed" in fails("run", config, "--out", run_folder, "--set", "seed=9")
    said = fails("run", config, "--out", run_folder, "--set", "attacks.ridge.settings.tau=9")
    assert 'holds an attack "ridge" with other settings' in said


def test_a_folder_of_something_else(config_file: Callable[..., Path], fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.txt").write_text("precious")
    for overwrite in ([], ["--overwrite"]):
        said = fails("run", config_file(), "--out", tmp_path / "photos", *overwrite)
        assert "is not empty and no run folder" in said
    assert (tmp_path / "photos" / "mine.txt").read_text() == "precious"


@pytest.mark.slow
def test_a_damaged_transcript_in_a_process(run_folder: Path, logitleak: Process) -> None:
    damage_nan(run_folder / "wire")
    done = logitleak("attack", run_folder, "--name", "again", "--quiet")
    assert done.returncode == 2
    assert re.fullmatch(r"logitleak: The upload of client 1 in round 2 [^\n]*\n", done.stderr)


def test_images_that_changed_after_the_federation_ended(
    people: People, config_file: Callable[..., Path], fails: Fails, tmp_path: Path
) -> None:
    root = people(tmp_path / "people", identities=6)
    again = ("run", config_file(root), "--out", tmp_path / "run", "--quiet")
    cli.main([str(argument) for argument in again])
    image = next(root.rglob("*.png"))
    with Image.open(image) as opened:
        opened.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(image)
    assert "The images have changed" in fails(*again)
