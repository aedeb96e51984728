"""The report of a made-up sweep: what it writes, what it says of gaps, what it escapes, what it does without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fabricate_sweep import fabricate_sweep, read_lines, write_lines
from html_page import HOSTILE, Page
from sweep_shows import EVERY_KIND

from logitleak.report import ReportError, build_sweep


def read(sweep: Path) -> str:
    return build_sweep(sweep).read_text(encoding="utf-8")


def words(html: str) -> str:
    return " ".join(html.split())


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return fabricate_sweep(tmp_path / "sweep", EVERY_KIND, seeds=(0,))


def test_every_kind_renders(sweep: Path) -> None:
    html = read(sweep)
    assert build_sweep(sweep) == sweep / "report.html"
    for show in EVERY_KIND:
        assert show["title"] in html
    assert "No cell has the numbers" not in html
    assert "No finished cell" not in html
    figures = {path.name for path in (sweep / "figures").iterdir()}
    assert {
        "04-too-close.svg", "05-owners-pli.svg", "06-by-tau-fedmd.svg", "07-confidence-ds-fl-confidence-private.svg",
        "08-among-clients-fedmd-tbi.svg",
    } <= figures  # fmt: skip
    assert {"09-rounds-pli.png", "10-schemes-tbi.png", "11-priors.png"} <= {
        p.name for p in (sweep / "grids").iterdir()
    }
    assert not list(sweep.rglob("*.partial"))


def test_loads_nothing_and_every_part_has_a_name(sweep: Path) -> None:
    page = Page(read(sweep))
    assert page.images
    assert all(url.startswith("data:") for url in page.loads)
    assert page.handlers == []
    assert all(image.get("alt") for image in page.images)
    assert len(page.ids) == len(set(page.ids))
    labels = []
    for path in (sweep / "figures").iterdir():
        labels.append(ElementTree.parse(path).getroot().get("aria-label"))
        assert "nan" not in path.read_text()
    assert all(labels)
    assert len(set(labels)) == len(labels)


def test_two_builds_are_identical(sweep: Path) -> None:
    def everything() -> dict[str, bytes]:
        build_sweep(sweep)
        outputs = [sweep / "report.html", *(sweep / "figures").iterdir(), *(sweep / "grids").iterdir()]
        return {path.name: path.read_bytes() for path in outputs}

    assert everything() == everything()


def test_failed_and_missing_cells_are_dashes_and_are_listed(tmp_path: Path) -> None:
    broken = {1: "failed", 2: "missing", 5: "failed"}
    html = words(read(fabricate_sweep(tmp_path / "sweep", EVERY_KIND, seeds=(0,), broken=broken)))
    assert "13 of 16 cells of the grid are finished, 2 failed, 1 is not computed yet." in html
    assert "Failed cells (2)" in html
    assert "pli, clients 1, FedMD, tau 1, seed 0" in html
    assert "TrainingError: the loss is not finite" in html
    assert '<span class="none" title="failed">–' in html
    assert '<span class="none" title="missing">–' in html


def test_nothing_finished_still_renders(tmp_path: Path) -> None:
    lost = dict.fromkeys(range(16), "missing")
    sweep = fabricate_sweep(tmp_path / "sweep", EVERY_KIND, seeds=(0,), broken=lost)
    shutil.rmtree(sweep / "federations")
    html = read(sweep)
    assert "0 of 16 cells of the grid are finished, 16 are not computed yet." in html
    assert "No finished cell left such images." in html
    assert "No cell has the numbers of this figure." in html


@pytest.mark.parametrize(
    "lost", ["result.json", "gallery.safetensors", "final.safetensors", "metrics.json", "timings.json"]
)
def test_renders_without(sweep: Path, lost: str) -> None:
    for path in sweep.rglob(lost):
        path.unlink()
    assert "All 16 cells of the grid are finished." in read(sweep)


def test_renders_with_damaged_images(sweep: Path) -> None:
    for path in sweep.rglob("*.safetensors"):
        path.write_bytes(b"not a tensor")
    assert "No finished cell left such images." in read(sweep)


def test_without_a_wish_accuracy_and_ssim_of_everything(tmp_path: Path) -> None:
    page = words(read(fabricate_sweep(tmp_path / "sweep")))
    assert "Attack accuracy</h2>" in page
    assert "Likeness to the truth</h2>" in page
    assert page.count('<table class="grid">') == 2
    assert "Pooled over 2 seeds." in page
    assert "Pooling over settings" not in page


def test_an_axis_that_is_not_there_is_a_note(tmp_path: Path) -> None:
    show = [
        {"kind": "table", "title": "One", "rows": ["attack", "alpha"]},
        {"kind": "trade-off", "title": "Two", "size": "gamma"},
        {"kind": "trade-off", "title": "Three"},
        {"kind": "table", "title": "Four", "rows": ["attack"], "only": {"attack": ["nobody"]}},
    ]
    html = read(fabricate_sweep(tmp_path / "sweep", show, seeds=(0,)))
    assert "No axis is called “alpha”. The axes of this sweep: attack, clients, scheme, tau, seed." in html
    assert "No axis is called “gamma”." in html
    assert "A trade-off needs the axis" in html
    assert "No cell of the grid fits" in html


def test_hostile_labels_are_only_text(sweep: Path) -> None:
    lines = read_lines(sweep)
    for line in lines:
        line["axes"]["scheme"] = HOSTILE if line["axes"]["scheme"] == "dsfl" else "<script>alert(1)</script>"
        line["axes"][HOSTILE] = HOSTILE
    lines[0] |= {"status": "failed", "error": HOSTILE, "id": "../../../escape"}
    write_lines(sweep, lines)
    plan = json.loads((sweep / "sweep.json").read_text())
    for show in plan["show"]:
        show["title"] = HOSTILE
        show["panels"] = [*show.get("panels", []), HOSTILE]
    (sweep / "sweep.json").write_text(json.dumps(plan | {"title": HOSTILE, "grid": {HOSTILE: [HOSTILE]}}))
    page = Page(read(sweep))
    assert page.scripts == 1
    assert page.handlers == []
    assert all(url.startswith("data:") for url in page.loads)
    for path in (sweep / "figures").iterdir():
        ElementTree.parse(path)
    assert not list(sweep.parent.rglob("*escape*"))


def test_real_data_say_so_in_page_and_grids(tmp_path: Path) -> None:
    real = fabricate_sweep(tmp_path / "real", EVERY_KIND, seeds=(0,), synthetic=False)
    made_up = fabricate_sweep(tmp_path / "made-up", EVERY_KIND, seeds=(0,))
    assert "private images of real people" in words(read(real))
    assert "no real person is shown" in words(read(made_up))
    sheets = [(folder / "grids" / "11-priors.png").read_bytes() for folder in (real, made_up)]
    assert sheets[0] != sheets[1]


def test_the_record_has_rivals_threat_models_tuning_and_times(sweep: Path) -> None:
    html = words(read(sweep))
    assert html.count("<td>public-mean</td>") == 4
    for scheme in ("FedMD", "DS-FL"):
        assert f'<summary><span class="name">{scheme}</span></summary>' in html
    assert html.count('<span class="said">chosen: </span>3: 30%, SSIM 0.430') == 8
    assert "3.3 min" in html  # sixteen attacks of 12.5 seconds
    assert "2.8 min" in html  # four federations of 41.5 seconds


def test_defenses_have_threat_models_of_their_own(tmp_path: Path) -> None:
    """What one federation's defense leaves to be seen is not said of another's."""
    sweep = fabricate_sweep(tmp_path / "sweep", seeds=(0, 1), schemes=("fedmd",), clients=(1,))
    defenses: list[dict[str, Any]] = [
        {"name": "round", "settings": {"digits": 1}, "clients": "all"},
        {"name": "<i>", "settings": {}, "clients": [0, 2]},
    ]
    paths = sorted(sweep.glob("federations/*/metrics.json"))
    assert len(paths) == 2
    metrics = json.loads(paths[0].read_text())
    metrics["config"]["defenses"] = defenses
    paths[0].write_text(json.dumps(metrics))
    html = words(read(sweep))
    assert '<span class="name">FedMD</span>' in html
    said = "FedMD with round (digits 1), then &lt;i&gt; at clients 0, 2"
    assert f'<span class="name">{said}</span>' in html


def damaged(folder: Path, name: str, content: bytes | None) -> Any:
    path = folder / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ReportError) as error:
        build_sweep(folder)
    assert "\n" not in str(error.value)
    return error.value


def test_missing_or_broken_plan_or_table(tmp_path: Path) -> None:
    sweep = fabricate_sweep(tmp_path / "sweep", seeds=(0,), schemes=("fedmd",), clients=(1,))
    whole = (sweep / "sweep.json").read_bytes()
    for content in (b"{", b"[]", b'{"format": 9}', b"\xff\xfe\x00"):
        assert "sweep.json" in str(damaged(sweep, "sweep.json", content))
    assert "is missing" in str(damaged(sweep, "sweep.json", None))
    (sweep / "sweep.json").write_bytes(whole)
    for content in (b"{", b"[]\n", b'{"seed": 0}\n', b"\xff\xfe\x00"):
        assert "table.jsonl" in str(damaged(sweep, "table.jsonl", content))
    assert "is missing" in str(damaged(sweep, "table.jsonl", None))


@pytest.mark.parametrize(("kind", "name"), [("cells", "result"), ("federations", "timings")])
def test_damaged_numbers_are_told_in_a_line(sweep: Path, kind: str, name: str) -> None:
    file = next(sweep.glob(f"{kind}/*/{name}.json"))
    for content in (b"{", b"[]", b"{}", b"\xff\xfe\x00"):
        assert str(damaged(sweep, str(file.relative_to(sweep)), content)).startswith(str(file))


def test_a_sweep_calls_targets_what_they_are(tmp_path: Path) -> None:
    def said(nouns: list[str], synthetic: bool) -> str:
        sweep = fabricate_sweep(
            tmp_path / f"{nouns}{synthetic}", EVERY_KIND, seeds=(0, 1), synthetic=synthetic
        )
        for number, path in enumerate(sorted(sweep.glob("federations/*/metrics.json"))):
            metrics = json.loads(path.read_text())
            path.write_text(json.dumps(metrics | {"noun": nouns[number % len(nouns)]}))
        return words(read(sweep))

    for synthetic in (True, False):
        of_products = said(["product"], synthetic)
        assert "mean private image of their own product than" in of_products
        assert "for the same products may be targets" in of_products
        assert "no real person" not in of_products
        assert ("private images of real products" in of_products) is not synthetic
    assert "no real person is shown" in said(["person"], True)
    mixed = said(["product", "class"], False)
    assert "mean private image of their own identity than" in mixed
    assert "private images of real people" in mixed
