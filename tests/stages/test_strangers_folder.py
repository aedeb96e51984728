"""A run folder that somebody else made: a report runs no code that it names, and writes nowhere that it leads to."""

import os
from pathlib import Path

import pytest
import yaml

import logitleak
from logitleak.stages.run import write_report


def test_no_model_that_it_names_is_imported(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "strangers_model.py").write_text(f"open({str(touched)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    file = finished_run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["federation"]["models"] = ["strangers_model:make"]
    file.write_text(yaml.safe_dump(config))
    metrics = write_report(finished_run).metrics
    assert not touched.exists()
    assert len(metrics["federation"]["weights"]) == 2


@pytest.mark.parametrize("folder", ["figures", "grids"])
def test_pictures_elsewhere_stay(folder: str, finished_run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "holiday.png").write_text("a picture")
    (finished_run / folder).rename(tmp_path / "moved")
    (finished_run / folder).symlink_to(mine)
    with pytest.raises(logitleak.UserError, match=f"{folder} is a link"):
        write_report(finished_run)
    assert [path.name for path in mine.iterdir()] == ["holiday.png"]


def test_a_file_elsewhere_stays(finished_run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    (finished_run / f".report.html.{os.getpid()}.partial").symlink_to(mine)
    assert write_report(finished_run).report.read_text().startswith("<!")
    assert mine.read_text() == "precious"
