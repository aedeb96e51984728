"""The command line: what works, and what a user can do wrong. A mistake is one line and exit code 2."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from logitleak import __version__, cli
from logitleak.files import storage, whole
from logitleak.files.storage import read_json, read_tensors, write_json, write_tensors
from logitleak.registry import TABLES

People = Callable[..., Path]
Fails = Callable[..., str]


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    """Run the command line, expect one line of error and exit code 2, and return the line."""

    def call(*arguments: str | Path) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr().err
        assert caught.value.code == 2
        assert re.fullmatch(r"logitleak: [^\n]+\n", said), said
        return said.strip()

    return call


@pytest.fixture
def config_file(tmp_path: Path, tiny_config: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """Write a tiny configuration to a file. Keyword arguments change the data section."""

    def write(root: Path | None = None, **data: Any) -> Path:
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(tiny_config(root, **data), sort_keys=False))
        return file

    return write


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, people: People, tiny_config: Callable[..., dict[str, Any]]
) -> Path:
    """A finished run on six people, one of whose images is damaged; do not change it."""
    folder = tmp_path_factory.mktemp("finished")
    root = people(folder / "people")
    (root / "person-02" / "1.png").write_bytes(b"\x89PNG broken")
    (folder / "config.yaml").write_text(yaml.safe_dump(tiny_config(root)))
    cli.main(["run", str(folder / "config.yaml"), "--out", str(folder / "run"), "--quiet"])
    return folder / "run"


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, to be damaged."""
    return shutil.copytree(finished, tmp_path / "run")


def logitleak(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "logitleak", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# What works


def test_run(finished: Path) -> None:
    metrics = read_json(finished / "metrics.json")
    assert set(metrics["attacks"]) == {"ridge", "pli", "tbi", "prior", "public-mean"}
    assert (finished / "report.html").stat().st_size > 10_000
    assert read_json(finished / "run.json")["federated"] is True


def test_a_corrupt_image_is_skipped_and_told(finished: Path) -> None:
    (skipped,) = read_json(finished / "metrics.json")["data"]["skipped"]
    assert skipped["path"] == "person-02/1.png"
    assert "not a readable image" in skipped["reason"]


def test_run_again_does_nothing_twice(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def metrics() -> dict[str, Any]:
        found: dict[str, Any] = read_json(run_folder / "metrics.json")
        del found["resources"]  # the memory of this process
        return found

    before = metrics()
    cli.main(["run", str(run_folder / "config.yaml"), "--out", str(run_folder)])
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == str(run_folder / "report.html")
    assert [line.split()[0] for line in out[:-1]] == ["pli", "ridge", "tbi", "prior", "public-mean"]
    assert metrics() == before


def test_attack_and_report(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["attack", str(run_folder), "--name", "cold", "--set", "tau=1.5", "--quiet"])
    assert capsys.readouterr().out.strip() == str(run_folder / "report.html")
    assert read_json(run_folder / "metrics.json")["attacks"]["cold"]["settings"]["tau"] == 1.5
    (run_folder / "report.html").unlink()
    cli.main(["report", str(run_folder), "--quiet"])
    assert (run_folder / "report.html").exists()


def test_ls(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["ls"])
    out = capsys.readouterr().out
    for kind, table in TABLES.items():
        assert f"{kind}\n" in out
        for name, entry in table.items():
            assert re.search(rf"^  {name} +{re.escape(entry.summary)}$", out, re.MULTILINE)
    cli.main(["ls", "attack"])
    out = capsys.readouterr().out
    assert out.startswith("attack\n")
    assert "fedmd" not in out


def test_validate(config_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["validate", str(config_file())])
    out = capsys.readouterr().out
    assert "6 people" in out
    assert "K = 2 clients" in out
    assert "ridge, pli, tbi on 2 targets" in out


def test_data_prepare(six_people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["data", "prepare", "folder", "--root", str(six_people), "--image-size", "16"])
    assert "6 people, 24 images, 4 to 4 each, 16x16 pixels" in capsys.readouterr().out


def test_data_show(six_people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.png"
    cli.main(
        ["data", "show", "folder", "--root", str(six_people), "--out", str(out), "--degradation", "mask"]
    )
    assert capsys.readouterr().out.strip() == str(out)
    assert out.stat().st_size > 1000


def test_data_synth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--identities", "1", "--images", "1", "--domains", "adult", "--workers", "1", "--quiet"]
    cli.main(["data", "synth", str(tmp_path / "made"), *arguments])
    assert capsys.readouterr().out == ""
    assert len(list((tmp_path / "made" / "adult").rglob("*.png"))) == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--version"])
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("arguments", [["--help"], ["data", "--help"], ["attack", "--help"], ["data"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 0
    assert "usage: logitleak" in capsys.readouterr().out


def test_help_is_quick_to_import() -> None:
    """Neither torch nor numpy is imported for help, `ls` and mistakes in names."""
    code = """
import sys
from logitleak.cli.command import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
heavy = {"torch", "numpy", "scipy", "PIL"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    for arguments in (["--help"], ["ls"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


# Mistakes in what is asked for


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("federation.clients=0", '"federation.clients": Input should be greater than 0'),
        ("federation.rounds=0", '"federation.rounds": Input should be greater than 0'),
        ("federation.clients=3", "3 clients are more than the 2 targets"),
        ("data.targets=7", "7 targets are more than the 6 identities"),
        ("data.targets=6", "All 6 identities are targets"),
        ("data.identities=9", "9 identities are asked for, and 6 fit"),
        ("data.max_images=1", "raise data.max_images"),
        ("data.min_images=5", "at least two identities, and the data has 0"),
        ("data.degradation=", "set data.degradation"),
        ("data.degradation=blurr", 'No degradation is called "blurr". Did you mean "blur"?'),
        ("data.degradation_settings={sise: 3}", 'no setting "sise". Did you mean "size"?'),
        ("data.source=foldr", 'No data is called "foldr". Did you mean "folder"?'),
        ("data.settings={insens: x}", 'has no setting "insens". Did you mean "insensitive"?'),
        ("data.settings={insensitive: /none}", "There is no folder /none"),
        ("data.root=/none/such", "There is no folder /none/such; check data.root"),
        ("data.root=", "needs a folder"),
        ("data.tagets=3", 'no setting "data.tagets". Did you mean "targets"?'),
        ("federation.settings={digset: 1}", 'scheme fedmd has no setting "digset". Did you mean "digest"?'),
        ("federation.models=[rezent]", 'No model is called "rezent". Did you mean "resnet"?'),
        ("attacks.ridge.settings.tau=0", 'attack ridge: "tau": Input should be greater than 0'),
        ("attacks.ridge.settings.tau=-1", '"tau"'),
        ("attacks.ridge.settings.tau=.inf", '"tau" must be a finite number'),
        ("attacks.ridge.settings.alpha=0", 'attack ridge: "alpha": Input should be greater than 0'),
        ("attacks.pli.settings.alpha=-2", 'attack pli: "alpha": Input should be greater than 0'),
        ("attacks.pli.settings.tua=1", 'attack pli has no setting "tua". Did you mean "tau"?'),
        ("attacks.pli.prior=men", 'No prior is called "men". Did you mean "mean"?'),
        ("attacks=[rigde]", 'No attack is called "rigde". Did you mean "ridge"?'),
        ("data.targets", "is no override"),
        ("data.targets=[", "is not valid YAML"),
        ("device=cuda", "There is no CUDA device here"),
    ],
)
@pytest.mark.parametrize("command", ["run", "validate"])
def test_bad_settings(
    command: str,
    override: str,
    message: str,
    config_file: Callable[..., Path],
    fails: Fails,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = ["--out", tmp_path / "run"] if command == "run" else []
    assert message in fails(command, config_file(), *out, "--set", override)
    assert not (tmp_path / "run").exists()


def test_one_identity(people: People, config_file: Callable[..., Path], fails: Fails, tmp_path: Path) -> None:
    file = config_file(people(tmp_path / "one", identities=1))
    assert "at least two identities, and the data has 1" in fails("run", file, "--out", tmp_path / "run")


def test_no_images(config_file: Callable[..., Path], fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "empty" / "somebody").mkdir(parents=True)
    assert "holds no images" in fails("run", config_file(tmp_path / "empty"), "--out", tmp_path / "run")


def test_all_corrupt(people: People, config_file: Callable[..., Path], fails: Fails, tmp_path: Path) -> None:
    root = people(tmp_path / "people", images=2)
    for path in root.rglob("*.png"):
        path.write_bytes(b"broken")
    said = fails("run", config_file(root), "--out", tmp_path / "run", "--quiet")
    assert "None of the 12 images" in said
    said = fails("data", "prepare", "folder", "--root", root)
    assert "None of the 12 images" in said


def test_too_many_corrupt(
    people: People, config_file: Callable[..., Path], fails: Fails, tmp_path: Path
) -> None:
    """Found only when the images are read: after the folder is made, and before anything is computed."""
    root = people(tmp_path / "people", images=2)
    for path in sorted(root.rglob("*.png"))[1:]:
        path.write_bytes(b"broken")
    said = fails("run", config_file(root), "--out", tmp_path / "run", "--quiet")
    assert "at least two identities" in said


@pytest.mark.parametrize("content", ["data: [", "- a", "seed: 2001-99-99", "\0"])
def test_bad_yaml(content: str, fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(content)
    assert "bad.yaml" in fails("run", tmp_path / "bad.yaml", "--out", tmp_path / "run")


def test_missing_config(fails: Fails, tmp_path: Path) -> None:
    assert "There is no config file" in fails("run", tmp_path / "none.yaml")
    assert "neither a capture" in fails("validate", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ls", "atack"], 'There is no kind "atack". Did you mean "attack"?'),
        (["data", "prepare", "foldr"], 'No data is called "foldr"'),
        (["data", "prepare", "folder"], "needs a folder"),
        (["data", "prepare", "folder", "--root", "/none"], "There is no folder /none"),
        (["data", "prepare", "folder", "--root", "{people}", "--image-size", "0"], "16 to 256 pixels"),
        (["data", "prepare", "synthetic", "--image-size", "32"], "set data.image_size to 64"),
        (["data", "show", "folder", "--root", "{people}", "--people", "0"], "at least one person"),
        (["data", "show", "folder", "--root", "{people}", "--out", "sheet.jpg"], "must end in .png"),
        (["data", "show", "folder", "--root", "{people}", "--degradation", "msk"], 'Did you mean "mask"'),
        (["data", "show", "folder", "--root", "{people}", "--out", "{file}/a.png"], "{file}"),
        (["data", "synth", "{tmp}/x", "--identities", "0"], "identities is 0"),
        (["data", "synth", "{tmp}/x", "--domains", "old"], "old"),
        (["data", "synth", "{file}/x", "--identities", "1"], "{file}"),
    ],
)
def test_bad_arguments(
    arguments: list[str], message: str, six_people: Path, tmp_path: Path, fails: Fails
) -> None:
    (tmp_path / "file").write_text("in the way")
    places = {"people": six_people, "tmp": tmp_path, "file": tmp_path / "file"}
    assert message.format(**places) in fails(*(argument.format(**places) for argument in arguments))


@pytest.mark.parametrize("arguments", [["nosuch"], ["run", "--nosuch"], ["data", "nosuch"], ["attack"], []])
def test_what_is_no_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The argument parser says this in its own way."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "Traceback" not in "".join(capsys.readouterr())


# Mistakes with run folders and transcripts


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
        (["--name", "x", "--set", "tau"], "is no override"),
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


# A disk that does not take it


def test_out_below_a_file(config_file: Callable[..., Path], fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        assert str(out) in fails("run", config_file(), "--out", out, "--quiet")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_out_without_permission(config_file: Callable[..., Path], fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    said = fails("run", config_file(), "--out", tmp_path / "closed" / "run", "--quiet")
    assert "choose another folder" in said


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EACCES, "No permission to write or read"),
        (errno.EROFS, "choose another folder"),
        (errno.ENOSPC, "The disk is full"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_disk_that_does_not_take_it(
    number: int,
    message: str,
    config_file: Callable[..., Path],
    fails: Fails,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), str(target))

    with monkeypatch.context() as patch:
        patch.setattr(whole.os, "replace", refuse)
        said = fails("run", config_file(), "--out", tmp_path / "run", "--quiet")
    assert message in said
    assert str(tmp_path / "run") in said
    assert not list((tmp_path / "run").rglob("*.partial"))


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no full disk to write to")
def test_a_disk_that_fills_up_while_tensors_are_written(
    config_file: Callable[..., Path], fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Afterwards the same command goes on."""
    write_whole = storage.write_whole

    def full(path: Path, write: Callable[[Path], None]) -> None:
        if "upload" in path.name:  # the temporary file is a device that is always full
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.{os.getpid()}.partial").symlink_to("/dev/full")
        write_whole(path, write)

    arguments = ["run", config_file(), "--out", tmp_path / "run", "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_whole", full)
        assert "The disk is full" in fails(*arguments)
    cli.main([str(argument) for argument in arguments])
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no full disk to write to")
def test_a_log_that_cannot_be_written_is_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import logging

    from logitleak.stages.folder import RunFolder, logged

    (tmp_path / "log.txt").symlink_to("/dev/full")
    with logged(RunFolder(tmp_path)):
        logging.getLogger("logitleak").info("lost")
    assert capsys.readouterr().err == ""


def test_interruption(
    config_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from logitleak.stages import run

    def interrupt(*arguments: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "federate", interrupt)
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", str(config_file()), "--out", str(tmp_path / "run"), "--quiet"])
    assert caught.value.code == 130
    assert capsys.readouterr().err == "Interrupted; the same command goes on from here.\n"


# Real processes


def test_a_mistake_in_a_process(tmp_path: Path) -> None:
    done = logitleak("run", "--out", tmp_path / "run", "--set", "data.tagets=3")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == ('logitleak: The config has no setting "data.tagets". Did you mean "targets"?\n')


def test_a_damaged_transcript_in_a_process(run_folder: Path) -> None:
    damage_nan(run_folder / "wire")
    done = logitleak("attack", run_folder, "--name", "again", "--quiet")
    assert done.returncode == 2
    assert re.fullmatch(r"logitleak: The upload of client 1 in round 2 [^\n]*\n", done.stderr)


@pytest.mark.parametrize("command", [["ls"], ["--version"], ["ls", "attack"]])
def test_a_reader_that_has_seen_enough_is_no_error(command: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "logitleak", *command], stdout=write, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


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


def test_prepare_in_a_process(six_people: Path, tmp_path: Path) -> None:
    """A damaged image is listed; Pillow's own warnings are not."""
    root = shutil.copytree(six_people, tmp_path / "people")
    (root / "person-00" / "0.png").write_bytes(b"")
    done = logitleak("data", "prepare", "folder", "--root", root)
    assert (done.returncode, done.stderr) == (0, "")
    assert "skipped person-00/0.png: not a readable image" in done.stdout


def test_metrics_are_json_for_everybody(finished: Path) -> None:
    """Strict JSON: no NaN, no Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    for path in finished.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
