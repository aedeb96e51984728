"""``logitleak sweep`` as a user gives it: exit codes, one-line errors, and what is printed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from logitleak.cli.command import main
from needs import require

WriteSweep = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


def fails(capsys: Capture, *arguments: str, code: int = 2) -> str:
    """The one line that a failing command says."""
    with pytest.raises(SystemExit) as ended:
        main(["sweep", *arguments])
    assert ended.value.code == code
    said = capsys.readouterr().err
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line.startswith("logitleak:")]
    assert len(lines) == 1, said
    return lines[0]


@pytest.mark.slow
def test_a_small_sweep(write_sweep: WriteSweep, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    main(
        ["sweep", str(write_sweep()), "--out", str(out), "--only", "scheme=fedmd", "tau=3", "--workers", "1"]
    )
    said = capsys.readouterr().out
    assert "2 of 2 cells are finished" in said
    assert said.splitlines()[-1] == str(out / "report.html")
    assert (out / "report.html").stat().st_size > 100
    main(["report", str(out)])
    assert capsys.readouterr().out.strip() == str(out / "report.html")


@pytest.mark.slow
def test_a_failing_cell_ends_with_one(write_sweep: WriteSweep, tmp_path: Path, capsys: Capture) -> None:
    path = write_sweep(grid={"attacks.pli.settings.lr": [1e30]}, attacks=["pli"])
    line = fails(capsys, str(path), "--out", str(tmp_path / "out"), "--workers", "1", code=1)
    assert "inversion loss" in line


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"federation.clientz": [1]}, '"clients"'),
        ({"federation.scheme": ["fedmd"], "data.labelled": [False]}, "needs a labelled public set"),
        (
            {"federation.scheme": ["dsfl"], "attacks.pli.prior": ["cyclegan"]},
            "needs labels of the public set",
        ),
    ],
)
def test_a_grid_that_cannot_be(
    write_sweep: WriteSweep, tmp_path: Path, capsys: Capture, grid: dict[str, object], message: str
) -> None:
    out = tmp_path / "out"
    assert message in fails(capsys, str(write_sweep(grid=grid)), "--out", str(out))
    assert not out.exists()


def test_ray_where_nobody_listens(write_sweep: WriteSweep, tmp_path: Path, capsys: Capture) -> None:
    require("ray")
    ray = ["--on", "ray", "--ray-address", "127.0.0.1:9"]
    assert "Nobody listens" in fails(capsys, str(write_sweep()), "--out", str(tmp_path / "out"), *ray)


@pytest.mark.parametrize("workers", ["0", "-1"])
def test_no_worker(write_sweep: WriteSweep, tmp_path: Path, capsys: Capture, workers: str) -> None:
    assert "at least one worker" in fails(
        capsys, str(write_sweep()), "--out", str(tmp_path / "out"), "--workers", workers
    )


def test_a_file_that_is_missing(tmp_path: Path, capsys: Capture) -> None:
    assert "no config file" in fails(capsys, str(tmp_path / "none.yaml"))


def test_the_report_of_no_sweep_and_no_run(tmp_path: Path, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path)])
    assert ended.value.code == 2
    assert "is neither the folder of a run nor of a sweep" in capsys.readouterr().err


def test_the_report_of_half_a_sweep(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path)])
    assert ended.value.code == 2
    assert "lists no cells" in capsys.readouterr().err
