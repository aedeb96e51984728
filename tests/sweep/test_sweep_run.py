"""A sweep computes every cell once, whatever happens to it on the way."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from journal import computed, numbers
from PIL import Image

from logitleak import __version__
from logitleak.errors import UserError
from logitleak.progress import Quiet
from logitleak.sweep.cells import expand
from logitleak.sweep.compute import Task
from logitleak.sweep.config import load
from logitleak.sweep.pools import DIED, LocalPool
from logitleak.sweep.run import run_sweep
from logitleak.sweep.table import table

WriteSweep = Callable[..., Path]


@pytest.mark.slow
def test_every_cell_once_and_nothing_twice(write_sweep: WriteSweep, tmp_path: Path) -> None:
    sweep = load(write_sweep())
    first = run_sweep(sweep, tmp_path / "out", Quiet(), workers=2)
    assert first.cells == 6
    assert not first.failed
    assert {row["status"] for row in table(first.path)} == {"finished"}
    done = computed(first.path)
    assert Counter(line["kind"] for line in done) == {"federation": 2, "cell": 6}
    again = run_sweep(sweep, tmp_path / "out", Quiet(), workers=2)
    assert computed(again.path) == done
    with (first.path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["scheme"], row["attack"], row["tau"]) for row in rows[:3]] == [
        ("fedmd", "ridge", ""), ("fedmd", "pli", "3"), ("fedmd", "pli", "10")
    ]  # fmt: skip
    assert [float(row["accuracy"]) for row in rows] == [row["accuracy"] for row in table(first.path)]
    lines = [json.loads(line) for line in (first.path / "table.jsonl").read_text().splitlines()]
    assert lines == table(first.path)
    more = load(write_sweep(grid={"federation.scheme": ["fedmd", "dsfl"]}))  # shares two cells with the first
    run_sweep(more, tmp_path / "out", Quiet(), workers=2)
    assert Counter(line["kind"] for line in computed(first.path)) == {"federation": 2, "cell": 6 + 2}


def test_a_cell_equals_a_run(write_sweep: WriteSweep, tmp_path: Path) -> None:
    """What a sweep computes is what `logitleak run` computes."""
    import logitleak

    sweep = load(write_sweep(grid={"attacks.pli.settings.tau": [3]}))
    workers = os.cpu_count()  # one thread each, as this test has
    out = run_sweep(sweep, tmp_path / "out", Quiet(), workers=workers).path
    cells = {cell.attack: cell.id for cell in expand(sweep)}
    base = dict(sweep.base)  # type: ignore[arg-type]
    base["attacks"]["pli"]["settings"]["tau"] = 3
    metrics = logitleak.run(base, tmp_path / "run").metrics
    for attack, id in cells.items():
        scored = json.loads((out / "cells" / id / "result.json").read_text())
        assert scored["per_target"] == metrics["attacks"][attack]["per_target"]


def test_a_failing_cell_is_reported_and_the_others_finish(write_sweep: WriteSweep, tmp_path: Path) -> None:
    grid = {"federation.scheme": ["fedmd"], "attacks.pli.settings.lr": [1e-3, 1e30]}
    result = run_sweep(load(write_sweep(grid=grid)), tmp_path / "out", Quiet(), workers=2)
    assert list(result.failed.values()) == ["The inversion loss of client 0 is not finite; lower lr."]
    assert Counter(row["status"] for row in table(result.path)) == {"finished": 2, "failed": 1}
    assert result.report.exists()


def test_a_failing_federation_fails_its_cells_only(write_sweep: WriteSweep, tmp_path: Path) -> None:
    result = run_sweep(
        load(write_sweep(grid={"federation.lr": [1e-3, 1e30]})), tmp_path / "out", Quiet(), workers=2
    )
    assert len(result.failed) == 2
    assert all("Its federation failed: The loss" in reason for reason in result.failed.values())
    assert Counter(row["status"] for row in table(result.path)) == {"finished": 2, "failed": 2}


def test_a_worker_that_dies_takes_nobody_with_it(write_sweep: WriteSweep, tmp_path: Path) -> None:
    cells = expand(load(write_sweep()))
    first, second = (
        Task(
            "federation",
            id,
            str(tmp_path),
            next(c for c in cells if c.federation == id).config.model_dump_json(),
            id,
            1,
        )
        for id in dict.fromkeys(cell.federation for cell in cells)
    )
    pool = LocalPool(2)
    try:
        pool.submit(first)
        pool.submit(second)
        (process,) = pool._executors[0]._processes
        os.kill(process, signal.SIGKILL)
        ended: dict[Task, str | None] = {}
        while len(ended) < 2:
            ended.update(pool.finished())
        assert ended == {first: DIED, second: None}
        pool.submit(first)
        assert pool.finished() == {first: None}
    finally:
        pool.close()
    assert first.done
    assert second.done


class Blind:
    """A pool whose workers write somewhere else, or die each time."""

    def __init__(self, answer: str | None) -> None:
        self.slots, self.answer = 2, answer
        self.tasks: list[Task] = []
        self.submitted = 0

    def submit(self, task: Task) -> None:
        self.tasks.append(task)
        self.submitted += 1

    def finished(self) -> dict[Task, str | None]:
        return {self.tasks.pop(): self.answer}

    def close(self) -> None:
        return None


@pytest.mark.parametrize(
    ("answer", "reason", "tries"), [(None, "its result is not in", 1), (DIED, "process died", 2)]
)
def test_a_result_that_is_not_there_is_no_result(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    answer: str | None, reason: str, tries: int,
) -> None:  # fmt: skip
    pool = Blind(answer)
    monkeypatch.setattr("logitleak.sweep.run.LocalPool", lambda workers, gpus: pool)
    result = run_sweep(load(write_sweep()), tmp_path / "out", Quiet())
    assert len(result.failed) == result.cells == 6
    assert all(reason in why for why in result.failed.values())
    assert pool.submitted == 2 * tries


@pytest.mark.slow
def test_what_a_dead_worker_left_behind_does_no_harm(write_sweep: WriteSweep, tmp_path: Path) -> None:
    sweep = load(write_sweep(grid={"federation.scheme": ["fedmd"]}))
    federation = tmp_path / "out" / "federations" / expand(sweep)[0].federation
    federation.mkdir(parents=True)
    (federation / "config.yaml").write_text("half-writ")
    (federation / "error.txt").write_text("No space left on device")
    (tmp_path / "out" / "sweep.json").write_text("{}")
    assert not run_sweep(sweep, tmp_path / "out", Quiet(), workers=2).failed


def start(config: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "logitleak",
        "sweep",
        str(config),
        "--out",
        str(out),
        "--workers",
        "2",
        *more,
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def alive(out: Path) -> set[int]:
    """Processes that ever computed something for this sweep and are still there."""
    found = set()
    for line in computed(out):
        status = Path(f"/proc/{line['process']}/stat")
        if status.exists() and status.read_text().rsplit(")")[1].split()[0] != "Z":
            found.add(line["process"])
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_killed_and_started_again(write_sweep: WriteSweep, tmp_path: Path) -> None:
    config, out = write_sweep(grid={"seed": [0, 1, 2], "attacks.pli.settings.tau": [3, 10]}), tmp_path / "out"
    process = start(config, out)
    while len(computed(out)) < 3:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    limit = time.monotonic() + 10
    while alive(out) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not alive(out), "workers outlive the sweep that was killed"
    before = len(computed(out))
    assert before < 3 + 9
    assert start(config, out).wait() == 0
    assert {row["status"] for row in table(out)} == {"finished"}
    times = Counter((line["kind"], line["id"]) for line in computed(out))
    assert set(times.values()) == {1}, "a cell was computed twice"
    assert Counter(kind for kind, _ in times) == {"federation": 3, "cell": 9}
    straight = run_sweep(load(config), tmp_path / "straight", Quiet(), workers=2)
    assert numbers(straight.path) == numbers(out)


def test_one_sweep_at_a_time(write_sweep: WriteSweep, tmp_path: Path) -> None:
    import fcntl

    config, out = write_sweep(), tmp_path / "out"
    out.mkdir()
    (out / "sweep.json").write_text("{}")
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="Another sweep is at work"):
            run_sweep(load(config), out, Quiet())


class Notes(Quiet):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.slow
def test_another_version_computes_anew_and_says_so(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, notes = load(write_sweep(grid={"attacks.pli.settings.tau": [3]})), Notes()
    first = run_sweep(sweep, tmp_path / "out", notes)
    assert notes.lines == []
    for module in ("cells", "run"):
        monkeypatch.setattr(f"logitleak.sweep.{module}.__version__", "9.9")
    run_sweep(sweep, tmp_path / "out", notes)
    assert notes.lines == [
        f"{first.path} was begun by Logitleak {__version__}; this is 9.9, and computes every cell anew."
    ]
    assert Counter(line["kind"] for line in computed(first.path)) == {"federation": 2, "cell": 4}


def test_images_that_have_changed_since_are_refused(
    write_sweep: WriteSweep, tmp_path: Path, six_people: Path
) -> None:
    root = tmp_path / "people"
    shutil.copytree(six_people, root)
    config = write_sweep(grid={"attacks.pli.settings.tau": [3]})
    values = yaml.safe_load(config.read_text())
    values["base"]["data"]["root"] = str(root)
    config.write_text(yaml.safe_dump(values))
    out = tmp_path / "out"
    run_sweep(load(config), out, Quiet())
    run_sweep(load(config), out, Quiet())
    for picture in root.rglob("*.png"):
        Image.new("RGB", Image.open(picture).size, "gray").save(picture)
    with pytest.raises(UserError, match=r"The images have changed since .*federations"):
        run_sweep(load(config), out, Quiet())


def test_another_folder_is_left_alone(write_sweep: WriteSweep, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="is not empty and no sweep"):
        run_sweep(load(write_sweep()), tmp_path / "mine", Quiet())
