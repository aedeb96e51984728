"""What is built for others to install: whole, nothing too much, and it runs without the tree that it was built from."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from needs import EXTRAS, require

ROOT = Path(__file__).parent.parent


def run(*command: str, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=os.environ | env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for tool in ("build", "twine", "hatchling"):
        require(tool)
    out = tmp_path_factory.mktemp("dist")
    run("-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT), cwd=out)
    return out


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "py.typed",
        "people/assets/people.zip",
        "people/assets/NOTICE.md",
        "report/templates/report.css",
    ):
        assert f"logitleak/{needed}" in names
    source = ROOT / "src"
    code = {str(path.relative_to(source)) for path in source.rglob("*.py")}
    assert code == {name for name in names if name.endswith(".py")}
    assert all(name.startswith("logitleak") for name in names)


@pytest.mark.slow
def test_the_source_has_what_tests_and_a_build_need(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "Makefile",
        "configs/demo.yaml",
        "tests/conftest.py",
    } <= names
    assert not [name for name in names if name.startswith(("runs/", ".venv/", "site/"))]


@pytest.mark.slow
def test_an_index_would_take_them(built: Path) -> None:
    said = run("-m", "twine", "check", "--strict", *map(str, built.iterdir()), cwd=built)
    assert said.count("PASSED") == 2


@pytest.mark.slow
def test_it_runs_from_the_wheel(
    built: Path, tmp_path: Path, tiny_config: Callable[..., dict[str, Any]]
) -> None:
    (wheel,) = built.glob("*.whl")
    home = tmp_path / "installed"
    run("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(home), str(wheel), cwd=tmp_path)
    where = run("-c", "import logitleak; print(logitleak.__file__)", cwd=tmp_path, PYTHONPATH=str(home))
    assert where.startswith(str(home))
    shipped = tiny_config() | {"attacks": ["gap"]}
    shipped["data"] = {"source": "synthetic", "targets": 2, "identities": 6, "max_images": 2}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(shipped))
    run(
        "-m", "logitleak", "run", str(config), "--out", "first", "--quiet", cwd=tmp_path, PYTHONPATH=str(home)
    )
    assert (tmp_path / "first" / "report.html").exists()


def test_what_a_skipped_test_says_to_install_is_there() -> None:
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS.values()) <= set(offered)
