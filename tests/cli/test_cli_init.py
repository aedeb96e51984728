"""`logitleak init`: a configuration for one's own images that runs as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from logitleak import cli
from logitleak import config as configs
from logitleak.stages.check import check

People = Callable[..., Path]


@pytest.fixture
def layouts(people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Class folders, a flat public set beside private classes, and arrays."""
    monkeypatch.chdir(tmp_path)
    people(tmp_path / "things", identities=4, images=10)
    people(tmp_path / "flat" / "private", identities=4, images=6)
    made = people(tmp_path / "made", identities=2, images=6)
    (tmp_path / "flat" / "public").mkdir()
    for number, path in enumerate(sorted(made.rglob("*.png"))):
        path.rename(tmp_path / "flat" / "public" / f"{number}.png")
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32), dtype=np.uint8)
    np.savez(tmp_path / "things.npz", images=images, labels=np.arange(40) % 4)
    return tmp_path


@pytest.mark.parametrize(
    ("images", "scheme", "public"),
    [("things", "fedmd", False), ("flat", "dsfl", True), ("things.npz", "fedmd", False)],
)
def test_what_it_writes_passes_every_check(
    images: str, scheme: str, public: bool, layouts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["init", images])
    assert capsys.readouterr().out == "federation.yaml\n"
    text = (layouts / "federation.yaml").read_text()
    values = yaml.safe_load(text)
    assert values["federation"]["scheme"] == scheme
    assert ("public_share" in values["data"]) != public
    assert text.count("#") > 10
    checked = check(configs.load(layouts / "federation.yaml"))
    assert checked.sizes.targets == 4


def test_what_it_writes_runs(layouts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["init", "things", "--out", "mine.yaml"])
    cli.main(["run", "mine.yaml", "--out", "run", "--quiet", "--set", "federation.rounds=1", "attacks=[gap]"])
    assert (layouts / "run" / "report.html").exists()


def test_mistakes(layouts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (layouts / "federation.yaml").write_text("mine")
    (layouts / "empty").mkdir()
    for arguments, said in (
        (["things"], "federation.yaml is there; choose another --out"),
        (["none", "--out", "x.yaml"], "There is no none; name a folder"),
        (["empty", "--out", "x.yaml"], "holds no images"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(["init", *arguments])
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert (layouts / "federation.yaml").read_text() == "mine"
    assert not (layouts / "x.yaml").exists()
