"""The page of a game: what it shows, and what it does without."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from fabricate import fabricate
from fabricate_game import play, with_nulls
from PIL import Image
from safetensors.numpy import load_file, save_file

from logitleak.report import build
from logitleak.report.parts.load import ReportError, Run, load
from logitleak.report.run import figures, gallery, grids, leak_page
from logitleak.report.run.verdict import judge

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def twins(run: Path) -> Path:
    return play(run)


def read(run: Path) -> str:
    return build(run).read_text(encoding="utf-8")


def edit(run: Path, how: Change) -> Path:
    path = run / "metrics.json"
    metrics = json.loads(path.read_text())
    how(metrics)
    path.write_text(json.dumps(metrics))
    return run


def test_shows_the_game_without_a_folder_of_attacks(twins: Path) -> None:
    html = read(twins)
    assert "Missing from this run folder" not in html
    assert html.count('class="duo"') == 8 * 3
    assert html.count('class="lineup"') == 1
    for words in (
        "The leak: in against out",
        "twins: every target",
        "pli, chosen image, round 3",
        "rebuilt only in",
    ):
        assert words in html
    figures = {path.stem for path in (twins / "figures").iterdir()}
    assert {"leak-in-out", "leak-interval", "rounds-leak", "accuracy", "rounds-accuracy"} <= figures
    for path in (twins / "figures").iterdir():
        ElementTree.parse(path)


def test_the_table_of_the_leak_stands_before_the_papers_measure(twins: Path) -> None:
    html = read(twins)
    assert html.index("The leak: in against out") < html.index("<h3>The paper’s measure</h3>")


def test_paper_gets_a_short_form_of_threat_model_and_leak(twins: Path, tmp_path: Path) -> None:
    def printed(run: Path) -> str:
        return re.sub(r"<[^>]+>", " ", read(run).split('<div class="printed">')[1].split("</div>")[0])

    first = printed(twins)
    assert "Threat model. A server that follows the protocol" in " ".join(first.split())
    assert "(primary)" in first
    assert "owner’s image" not in first
    alone = printed(fabricate(tmp_path / "alone"))
    assert "Attack or rival" in alone
    assert "public-mean" in alone


def test_the_primary_attack_comes_first(twins: Path) -> None:
    html = read(edit(twins, lambda metrics: metrics["game"]["primary"].update(attack="tbi")))
    assert re.findall(r'<p class="duo-title">(\w+)</p>', html)[:3] == ["tbi", "pli", "ridge"]
    assert '<option value="tbi" selected>' in html


def test_grid_has_rows_for_truth_public_in_and_out(twins: Path) -> None:
    build(twins)
    with Image.open(twins / "grids" / "pli.png") as grid:
        assert grid.size == (76 + 8 * 67, 4 * 67 + 2 * 16 + 24)


def test_images_of_a_game_come_from_the_gallery(twins: Path) -> None:
    pli = next(attack for attack in load(twins).attacks if attack.name == "pli")
    stored = load_file(twins / "gallery.safetensors")
    assert pli.images is not None
    assert np.array_equal(pli.images, stored["in/pli/3"])
    assert list(pli.rounds) == [1, 2, 3]


def test_manifest_of_the_first_world_stands_in(twins: Path) -> None:
    home = twins / "worlds" / "0" / "wire"
    home.mkdir(parents=True)
    (home / "manifest.json").write_text(json.dumps({"uploads": {"kind": "gradients"}}))
    assert load(twins).shared == "gradients"


def test_decoys_show_one_side_of_each_target(run: Path) -> None:
    html = read(play(run, "decoys"))
    assert html.count('<div class="frame blank">not withheld</div>') == 4 * 3
    assert html.count('<div class="frame blank">withheld</div>') == 4 * 3
    assert "decoys: some targets withheld by coin" in html
    assert "AUC" in html
    assert "rebuilt only in" not in html


def test_four_worlds_count_tries_and_shares(run: Path) -> None:
    html = read(play(run, worlds=4))
    assert "tries" in html
    assert "◐" in html
    assert "bootstrap" in html


def test_no_leak_and_a_likely_one(tmp_path: Path) -> None:
    quiet = play(
        fabricate(tmp_path / "quiet", size=32), rates=dict.fromkeys(("pli", "ridge", "tbi"), (0.1, 0.1))
    )
    assert "No leak shown" in read(quiet)
    assert "grade-quiet" in read(quiet)


def test_nulls_stand_beside_every_attack(run: Path) -> None:
    html = read(with_nulls(run))
    assert html.count('<tr class="null">') == 2 * 3
    assert "Likely leak" in html or "Likeness only" in html
    assert "non-owners" in (run / "figures" / "accuracy.svg").read_text()


def test_without_a_game_the_page_is_as_it_was(run: Path) -> None:
    html = read(run)
    for word in ('class="lineup"', 'class="duo"', "The leak: in against out", 'value="gain"'):
        assert word not in html
    assert "Likeness only" in html


def test_sides_that_are_missing(twins: Path) -> None:
    path = twins / "gallery.safetensors"
    tensors = load_file(path)
    save_file({key: value for key, value in tensors.items() if not key.startswith("out/")}, path)
    html = read(twins)
    assert "The leak: in against out" in html
    assert "No leak shown" in html  # the numbers are there without the pictures
    save_file({key: tensors[key] for key in ("truth", "public")}, path)
    html = read(twins)
    assert "No readable reconstructions of pli" in html
    assert 'class="lineup"' not in html
    path.unlink()
    assert "the truth is not in this run" in read(twins)


def test_damaged_sides(twins: Path) -> None:
    path = twins / "gallery.safetensors"
    tensors = load_file(path)
    tensors["in/pli/3"] = tensors["in/pli/3"][:2].copy()
    tensors["out/ridge/3"] = np.zeros((4,), np.uint8)
    tensors["in/odd"] = tensors["in//2"] = tensors["out/tbi/x"] = np.zeros((1,), np.uint8)
    tensors["has_in/tbi"] = np.zeros((1,), np.uint8)
    save_file(tensors, path)
    assert "ridge/3" in read(twins)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a tree of JSON; of a list, its first entry."""
    found = [at] if at else []
    items = (
        value.items()
        if isinstance(value, dict)
        else list(enumerate(value))[:1]
        if isinstance(value, list)
        else []
    )
    return found + [path for key, item in items for path in paths(item, (*at, key))]


BROKEN: tuple[Any, ...] = (None, [], "x", {})


def shown(run: Path, damaged: tuple[Any, ...]) -> Run | None:
    """A run whose numbers are damaged at a place, or None where that is refused in a line that says where."""
    try:
        return load(run)
    except ReportError as refused:
        said = str(refused)
    assert ".".join(map(str, damaged[:1])) in said, damaged
    assert "\n" not in said
    return None


@pytest.mark.slow
@pytest.mark.parametrize("design", ["twins", "decoys"])
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_any_number_of_a_game_may_be_missing_or_wrong(tmp_path: Path, design: str, every: bool) -> None:
    """Every place with one wrong value, in turn; the slow one with each. It is refused in a line, or else shown."""
    run = with_nulls(play(fabricate(tmp_path / "run", targets=4, size=16), design))
    whole = json.loads((run / "metrics.json").read_text())
    roots = [("game",), ("attacks", "pli", "leak"), ("attacks", "pli", "nulls")]
    for root in roots:
        start: Any = whole
        for key in root:
            start = start[key]
        places = enumerate([(), *paths(start)])
        wrong = [
            (at, value) for n, at in places for value in (BROKEN if every else (BROKEN[n % len(BROKEN)],))
        ]
        for place, broken in wrong:
            metrics = json.loads(json.dumps(whole))
            target: Any = metrics
            full = (*root, *place)
            for key in full[:-1]:
                target = target[key]
            target[full[-1]] = broken
            (run / "metrics.json").write_text(json.dumps(metrics))
            content = shown(run, full)
            if content is None:
                continue
            assert figures.draw_all(content), full
            assert judge(content).headline, full
            leak_page.facts(content)
            leak_page.context(content)
            for attack in content.attacks:
                leak_page.null_rows(content, attack)
                leak_page.dots(content, attack)
            if "per_target" in full:
                assert gallery.cards(content)
                assert gallery.lineup(content, "pli")
                assert grids.grids(content)


def test_holm_stands_beside_the_p_that_it_corrects(twins: Path) -> None:
    assert re.search(r'p [=<] [\d.]+<span class="ci line">Holm: p', read(twins))
    html = read(edit(twins, lambda metrics: metrics["game"].update(measure="wins")))
    assert not re.search(r'p [=<] [\d.]+<span class="ci line">Holm: p', html)
    assert re.search(
        r'<b>\d+/\d+</b><span class="ci line">p [=<] [\d.]+</span><span class="ci line">Holm: p', html
    )
    assert "Holm corrects the p of wins for the number" in html
