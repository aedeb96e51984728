"""What a user can ask for that cannot be done. A mistake is one line and exit code 2."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from logitleak import cli

People = Callable[..., Path]
Fails = Callable[..., str]
Process = Callable[..., subprocess.CompletedProcess[str]]


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


@pytest.mark.slow
def test_a_mistake_in_a_process(tmp_path: Path, logitleak: Process) -> None:
    done = logitleak("run", "--out", tmp_path / "run", "--set", "data.tagets=3")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == ('logitleak: The config has no setting "data.tagets". Did you mean "targets"?\n')
