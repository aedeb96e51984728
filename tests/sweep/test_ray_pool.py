"""A sweep on a Ray cluster: the same table, machines that cannot take part, and machines that are lost."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from journal import computed, numbers

from logitleak.errors import UserError
from logitleak.progress import Quiet
from logitleak.sweep import ray_pool
from logitleak.sweep.config import load
from logitleak.sweep.ray_pool import RayPool
from logitleak.sweep.run import run_sweep
from needs import require

WriteSweep = Callable[..., Path]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:9", "Nobody listens"),
        ("ray://127.0.0.1:9", "Nobody listens"),
        ("nowhere", "is no Ray address"),
    ],
)
def test_a_ray_address_where_nobody_listens(address: str, message: str, tmp_path: Path) -> None:
    require("ray")
    begin = time.monotonic()
    with pytest.raises(UserError, match=message):
        RayPool(address, tmp_path, 1)
    assert time.monotonic() - begin < 10


@pytest.mark.ray
def test_ray_gives_the_same_table(write_sweep: WriteSweep, tmp_path: Path) -> None:
    """A cluster of two workers, started as a user starts one."""
    require("ray")
    ray = str(Path(sys.executable).with_name("ray"))
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    head = [ray, "start", "--head", "--port", "6399", "--num-cpus", "2", "--include-dashboard", "false"]
    subprocess.run(head, check=True, env=environment, stdout=subprocess.DEVNULL)
    try:
        sweep = load(write_sweep())
        local = run_sweep(sweep, tmp_path / "local", Quiet(), workers=2)
        on_ray = run_sweep(
            sweep, tmp_path / "ray", Quiet(), on="ray", workers=2, ray_address="127.0.0.1:6399"
        )
    finally:
        subprocess.run([ray, "stop", "--force"], check=True, env=environment, stdout=subprocess.DEVNULL)
    assert not on_ray.failed
    assert numbers(on_ray.path) == numbers(local.path)
    assert len({line["process"] for line in computed(on_ray.path)}) == 2


class Notes(Quiet):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@contextmanager
def two_machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """A cluster of two nodes, a core each, that are processes of their own; the cluster, and the second node."""
    require("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster, second
    finally:
        cluster.shutdown()


@pytest.mark.ray
def test_cells_of_a_lost_machine_are_done_elsewhere(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, out, notes = load(write_sweep()), tmp_path / "ray", Notes()
    with two_machines(monkeypatch) as (cluster, second):

        def lose() -> None:
            while len(list(out.glob("federations/*"))) < 2:  # one on each machine
                time.sleep(0.02)
            cluster.remove_node(second, allow_graceful=False)

        losing = threading.Thread(target=lose)
        losing.start()
        found = run_sweep(sweep, out, notes, on="ray", workers=2, ray_address=cluster.address)
        losing.join()
    assert not found.failed
    assert any("died and is tried again" in said for said in notes.said)
    assert numbers(out) == numbers(run_sweep(sweep, tmp_path / "local", Quiet(), workers=2).path)
    assert not (out / "machines").exists()


@pytest.mark.ray
@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs a path that differs from process to process"
)
def test_a_machine_that_does_not_see_the_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of machines with working folders of their own, ``/proc/self/cwd`` is another folder on each."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folder = Path("/proc/self/cwd/sweep")
    with two_machines(monkeypatch) as (cluster, _):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match="does not see the folder /proc/self/cwd/sweep"):
            RayPool(cluster.address, folder, 1)
    assert not list((tmp_path / "sweep").iterdir())


@pytest.mark.ray
def test_a_machine_with_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with two_machines(monkeypatch) as (cluster, _):
        monkeypatch.setattr(ray_pool, "__version__", "0.0.1")
        with pytest.raises(UserError, match=r"has Logitleak .*, and this is 0\.0\.1"):
            RayPool(cluster.address, tmp_path, 1)
