"""The report of a made-up run: what it writes, what it escapes, what it does without."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fabricate import fabricate
from html_page import HOSTILE, Page
from PIL import Image

from logitleak.report import ReportError, build

Edit = Callable[[Callable[[dict[str, Any]], None]], Path]


def read(run: Path) -> str:
    return build(run).read_text(encoding="utf-8")


def test_writes_the_page_the_figures_and_the_grids(run: Path) -> None:
    assert build(run) == run / "report.html"
    assert {path.name for path in (run / "grids").iterdir()} == {"pli.png", "ridge.png", "tbi.png"}
    figures = {path.name for path in (run / "figures").iterdir()}
    expected = {"accuracy", "rounds-accuracy", "rounds-ssim", "confidence-public", "confidence-private"}
    expected |= {"client-ssim", "attack-losses-1", "federation-losses-1", "utility-rounds"}
    assert {f"{name}.svg" for name in expected} <= figures
    assert not list(run.rglob("*.partial"))


def test_grid_holds_every_target_in_exact_pixels(run: Path) -> None:
    build(run)
    with Image.open(run / "grids" / "pli.png") as grid:
        assert grid.width == 76 + 8 * 67
        assert grid.height == 3 * 67 + 24


def test_two_builds_are_identical(run: Path) -> None:
    def everything() -> dict[str, bytes]:
        build(run)
        outputs = [run / "report.html", *(run / "figures").iterdir(), *(run / "grids").iterdir()]
        return {path.name: path.read_bytes() for path in outputs}

    assert everything() == everything()


def test_page_does_not_depend_on_where_the_run_lies(run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(run, moved)
    assert read(run) == read(moved)


def test_stale_outputs_go(run: Path) -> None:
    build(run)
    (run / "grids" / "old-attack.png").write_bytes(b"")
    build(run)
    assert not (run / "grids" / "old-attack.png").exists()


def test_page_stays_small(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", targets=20, rounds=5, noise=0.15)
    assert build(run).stat().st_size < 3_000_000


@pytest.mark.slow
def test_many_targets_are_capped_and_the_page_says_so(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", targets=200, rounds=2, noise=0.1)
    html = read(run)
    assert html.count('<li class="card"') == 80
    assert "first 80 of 200 targets" in html
    assert len(html) < 3_000_000


def test_page_loads_nothing(run: Path) -> None:
    page = Page(read(run))
    assert page.images
    assert all(url.startswith("data:") for url in page.loads)
    assert page.handlers == []


def test_every_image_has_its_own_words_and_every_id_is_unique(run: Path) -> None:
    page = Page(read(run))
    assert all(image.get("alt") for image in page.images)
    assert len(page.ids) == len(set(page.ids))


def test_figures_are_well_formed(run: Path) -> None:
    build(run)
    for path in (run / "figures").iterdir():
        root = ElementTree.parse(path).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("aria-label")
        assert "nan" not in path.read_text().lower().replace("tenant", "")


def test_hostile_names_are_only_text(edit: Edit) -> None:
    def poison(metrics: dict[str, Any]) -> None:
        metrics["data"]["title"] = HOSTILE
        metrics["data"]["skipped"] = [{"path": HOSTILE, "reason": HOSTILE}]
        metrics["threat_model"]["sees"] = [HOSTILE]
        metrics["config"][HOSTILE] = HOSTILE
        metrics["federation"]["losses"][0]["phase"] = HOSTILE
        metrics["attacks"][HOSTILE] = metrics["attacks"].pop("tbi") | {"summary": HOSTILE}
        metrics["attacks"]["../../../escape"] = metrics["attacks"]["pli"]
        for row in metrics["attacks"]["pli"]["per_target"]:
            row["name"] = row["best_match"] = HOSTILE

    run = edit(poison)
    before = len(Page(read(fabricate(run.parent / "clean"))).images)
    html = read(run)
    page = Page(html)
    assert page.scripts == 2
    assert page.handlers == []
    assert len(page.images) <= before
    for path in (run / "figures").iterdir():
        ElementTree.parse(path)
    assert not list(run.parent.rglob("*escape*"))
    data = re.search(r'<script type="application/json" id="cards-data">(.*?)</script>', html, re.DOTALL)
    assert data
    assert json.loads(data.group(1))[0]["name"] == HOSTILE


def test_missing_or_broken_metrics(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="missing") as missing:
        build(tmp_path)
    assert "\n" not in str(missing.value)
    for text in ("{", "[]", '{"format": 9}', "\x00"):
        (tmp_path / "metrics.json").write_text(text)
        with pytest.raises(ReportError) as broken:
            build(tmp_path)
        assert "\n" not in str(broken.value)
    (tmp_path / "metrics.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReportError):
        build(tmp_path)


@pytest.mark.parametrize("lost", ["gallery.safetensors", "timings.json", "attacks"])
def test_renders_without(run: Path, lost: str) -> None:
    path = run / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    html = read(run)
    assert "Missing from this run folder" in html
    assert "the server made images that are most like the right person" in html


def test_damaged_times_are_told_in_a_line(run: Path) -> None:
    (run / "timings.json").write_text('{"federation_seconds": "long"}')
    with pytest.raises(ReportError, match="timings.json: .* remove it, which loses nothing but times"):
        read(run)


def test_renders_without_rounds(run: Path, edit: Edit) -> None:
    for path in run.rglob("round-*.safetensors"):
        path.unlink()

    def drop(metrics: dict[str, Any]) -> None:
        for attack in metrics["attacks"].values():
            attack["rounds"] = []

    html = read(edit(drop))
    assert "No accuracy by round" in html
    assert "no strip to show" in html


def test_renders_with_damaged_images(run: Path) -> None:
    (run / "attacks" / "pli" / "final.safetensors").write_bytes(b"not a tensor")
    (run / "gallery.safetensors").write_bytes(b"")
    html = read(run)
    assert "pli/final.safetensors" in html


def test_one_client_says_why_the_owner_is_missing(tmp_path: Path) -> None:
    html = read(fabricate(tmp_path / "run", clients=1, size=32))
    assert "With one client there is no owner to name" in html
    assert "With one client there are no other clients" in html


def test_attack_only_run(run: Path, edit: Edit) -> None:
    (run / "gallery.safetensors").unlink()

    def unjudge(metrics: dict[str, Any]) -> None:
        names = metrics["attacks"]
        own = ("kind", "summary", "settings", "assumptions", "choices", "losses")
        metrics["attacks"] = {name: {key: names[name][key] for key in own} for name in ("pli", "ridge")}
        del metrics["confidence"], metrics["utility"]

    html = read(edit(unjudge))
    assert "without the truth" in html
    assert html.count('<li class="card"') == 8
    assert "Show truth" not in html


def test_without_attacks(run: Path, edit: Edit) -> None:
    shutil.rmtree(run / "attacks")
    assert "No attack was run" in read(edit(lambda metrics: metrics.update(attacks={})))


@pytest.mark.parametrize("key", ["confidence", "utility", "identity", "game"])
def test_what_nobody_measured_may_be_null(edit: Edit, key: str) -> None:
    assert "the server made images" in read(edit(lambda metrics: metrics.update({key: None})))


def test_a_run_of_an_older_version_still_renders(run: Path, edit: Edit) -> None:
    """Format 1 has got keys since the first file of it was written."""

    def age(metrics: dict[str, Any]) -> None:
        for key in ("format", "noun", "made_by", "failed", "resources", "game", "identity"):
            del metrics[key]
        for key in ("recorded", "holdings", "aggregation"):
            del metrics["data"][key]
        for key in ("weights", "absent", "ended"):
            del metrics["federation"][key]
        del metrics["utility"]["baselines"]

    for file in run.glob("attacks/*/attack.json"):
        said = json.loads(file.read_text())
        for key in ("tune", "view", "compares_clients", "prior", "prior_settings"):
            del said[key]
        file.write_text(json.dumps(said))

    def forget(metrics: dict[str, Any]) -> None:
        metrics["federation"]["weights"] = []
        metrics["resources"] = {}
        metrics["made_by"] = {"federation": None, "attacks": {}}

    whole = read(edit(forget))
    assert read(edit(age)) == whole


def test_a_run_of_a_later_version_still_renders(edit: Edit) -> None:
    def add(metrics: dict[str, Any]) -> None:
        metrics["more"] = metrics["data"]["more"] = metrics["attacks"]["pli"]["accuracy"]["more"] = {"a": 1}

    assert "the server made images" in read(edit(add))


def test_a_damaged_attack_is_named(run: Path) -> None:
    (run / "attacks" / "ridge" / "attack.json").write_text("{")
    with pytest.raises(ReportError, match="attacks/ridge/attack.json"):
        build(run)


def test_infinite_and_missing_numbers_become_dashes(run: Path) -> None:
    path = run / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["attacks"]["pli"]["mean"] = {"ssim": float("nan"), "psnr": float("inf"), "mse": None}
    metrics["attacks"]["pli"]["per_target"][0]["ssim"] = None
    path.write_text(json.dumps(metrics))
    html = read(run)
    assert "Infinity" not in html
    assert re.search(r'<td class="n">–</td>', html)


def test_gray_images(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    run = fabricate(tmp_path / "run", size=28)
    for path in run.rglob("*.safetensors"):
        tensors = load_file(path)
        gray = {name: t[..., :1, :, :].copy() if t.ndim >= 4 else t for name, t in tensors.items()}
        save_file(gray, path)
    assert '<li class="card"' in read(run)


def test_importing_the_package_is_light() -> None:
    code = "import sys, logitleak.report; print([m for m in ('torch', 'jinja2', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
