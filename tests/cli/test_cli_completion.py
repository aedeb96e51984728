"""What a shell is told when TAB is pressed: every command's options, also inside a group, and plug-ins."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from logitleak import cli, registry
from logitleak.cli.command import _COMMANDS, _GROUPS
from logitleak.cli.completion import places
from logitleak.cli.shells import SHELLS

PLACES = places(_COMMANDS, _GROUPS)

BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_logitleak logitleak "${COMP_WORDS[COMP_CWORD]}"
((${#COMPREPLY[@]} == 0)) || printf '%s\\n' "${COMPREPLY[@]}"
"""

ZSH = """
source "$1"; shift
words=("$@"); CURRENT=$#words
_logitleak
"""
IN_ZSH = "compdef() {}; compset() {}; _files() {}; _describe() { print -rl -- ${${(@P)2}%%:*} }\n"

CASES = [
    ("", {"run", "deploy", "validate"}),
    ("ru", {"run"}),
    ("run --", {"--set", "--twins", "--out"}),
    ("run --device ", {"auto", "cpu", "cuda"}),
    ("attack RUN --tune p", {"public"}),
    ("deploy ", {"init", "split", "keys", "open"}),
    ("deploy init --", {"--canaries", "--host", "--set"}),
    ("deploy init OUT --ca", {"--canaries"}),
    ("data prepare ", {"lfw", "folder"}),
    ("data prepare lfw --", {"--root", "--image-size"}),
    ("attack RUN --attack p", {"pli"}),
    ("defend CONFIG --only round to", {"top-k", "toward-public"}),
    ("ls d", {"data", "defense", "degradation"}),
    ("run configs/de", set()),  # the shell's own files
    ("run --out r", set()),
]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completion")
    for shell in SHELLS:
        cli.main(["--tyro-write-completion", shell, str(folder / shell)])
    return folder


def told(*command: str) -> set[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return {line.split("\t")[0] for line in done.stdout.splitlines() if line}


def typed(line: str) -> list[str]:
    return ["logitleak", *line.split(), *([""] if not line or line.endswith(" ") else [])]


@pytest.mark.parametrize(("line", "words"), CASES)
def test_bash(scripts: Path, line: str, words: set[str]) -> None:
    found = told("bash", "--norc", "-c", BASH, "bash", str(scripts / "bash"), *typed(line))
    assert words <= found if words else found == set()
    assert all(word.startswith(typed(line)[-1]) for word in found)


def test_bash_parts_an_option_and_its_value(scripts: Path) -> None:
    for line in ("run --device =", "run --device = "):
        assert told("bash", "--norc", "-c", BASH, "bash", str(scripts / "bash"), *typed(line)) == {
            "auto", "cpu", "cuda",
        }  # fmt: skip


def test_bash_falls_back_to_files(scripts: Path) -> None:
    assert "-o default" in (scripts / "bash").read_text()


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed: apt-get install zsh")
@pytest.mark.parametrize(("line", "words"), [*CASES, ("run --device=c", {"cpu", "cuda"})])
def test_zsh(scripts: Path, line: str, words: set[str]) -> None:
    found = told("zsh", "-f", "-c", IN_ZSH + ZSH, "zsh", str(scripts / "zsh"), *typed(line))
    assert words <= found if words else found == set()


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed: apt-get install fish")
@pytest.mark.parametrize(("line", "words"), CASES)
def test_fish(scripts: Path, line: str, words: set[str]) -> None:
    code = f"source {scripts / 'fish'}; complete -C 'logitleak {line}'"
    assert words <= told("fish", "--no-config", "-c", code)


@pytest.mark.parametrize("place", PLACES)
def test_every_option_of_help_is_there_and_no_other(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([*place.split(), "--help"])
    listed = re.findall(r"^\W (?:-h, )?(--[\w-]+)", capsys.readouterr().out, re.MULTILINE)
    assert set(PLACES[place].options) == set(listed)


def test_plug_ins_of_every_kind_that_a_command_names() -> None:
    def words(place: str, option: str) -> list[str]:
        value = PLACES[place].options[option]
        return list(value.words) if value is not None else []

    for place, option, kind in (
        ("attack", "--attack", "attack"), ("attack", "--prior", "prior"), ("defend", "--only", "defense"),
        ("export-metrics", "--to", "tracker"), ("data show", "--degradation", "degradation"),
    ):  # fmt: skip
        assert words(place, option) == registry.names(kind)


def test_printed_is_what_is_written(scripts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for shell in SHELLS:
        for asked in (["--tyro-print-completion", shell], ["--tyro-write-completion", shell, "-"]):
            cli.main(asked)
            assert capsys.readouterr().out == (scripts / shell).read_text()


def test_another_shell(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--tyro-print-completion", "tcsh"])
    assert end.value.code == 2
    assert "no completion for tcsh. There is: bash, zsh, fish" in capsys.readouterr().err
