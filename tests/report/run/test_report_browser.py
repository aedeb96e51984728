"""The page in a real browser: it sorts, it hides the truth, it fits a phone, it asks no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from browser import size
from fabricate import fabricate
from fabricate_game import play

from logitleak.report import build

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(fabricate(tmp_path_factory.mktemp("browser") / "run", size=32)).as_uri()


@pytest.fixture
def page(driver: Any, url: str) -> Any:
    size(driver, 1280)
    driver.get(url)
    return driver


def choose(page: Any, element: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(page.find_element("id", element)).select_by_value(value)


def labels(page: Any) -> list[int]:
    shown = page.find_elements("css selector", ".card:not([hidden]) .card-head b")
    return [int(item.text) for item in shown]


def scores(page: Any, attack: str) -> list[float]:
    script = """return [...document.querySelectorAll('.card:not([hidden]) .cell')]
        .filter(cell => cell.querySelector('.cell-title').textContent === arguments[0])
        .map(cell => Number(cell.querySelector('.score').textContent))"""
    return [float(score) for score in page.execute_script(script, attack)]


def test_sorts_by_the_chosen_attack(page: Any) -> None:
    assert labels(page) == sorted(labels(page))
    choose(page, "sort", "best")
    assert scores(page, "pli") == sorted(scores(page, "pli"), reverse=True)
    choose(page, "of", "ridge")
    assert scores(page, "ridge") == sorted(scores(page, "ridge"), reverse=True)
    choose(page, "sort", "worst")
    assert scores(page, "ridge") == sorted(scores(page, "ridge"))
    choose(page, "sort", "label")
    assert labels(page) == sorted(labels(page))


def test_filters_and_says_how_many(page: Any) -> None:
    choose(page, "show", "hit")
    hits = len(labels(page))
    choose(page, "show", "miss")
    misses = len(labels(page))
    assert (hits, misses) == (6, 2)
    assert page.find_element("id", "shown").text == "2 of 8 targets"
    choose(page, "show", "all")
    page.find_element("id", "find").send_keys("person 006")
    assert labels(page) == [6]
    page.find_element("id", "find").send_keys("x")
    assert page.find_element("id", "empty").is_displayed()


def test_truth_switch_hides_the_images_and_keeps_the_layout(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    truths = page.find_elements("css selector", ".cell-truth img")
    assert len(truths) > 8
    assert all(image.is_displayed() for image in truths)
    height = page.execute_script("return document.documentElement.scrollHeight")
    switch = page.find_element("id", "truth")
    switch.send_keys(Keys.SPACE)
    assert switch.get_attribute("aria-checked") == "false"
    assert not any(image.is_displayed() for image in truths)
    assert page.execute_script("return document.documentElement.scrollHeight") == height
    switch.click()
    assert all(image.is_displayed() for image in truths)


def test_theme_button_turns_the_page_dark_and_back(page: Any) -> None:
    def background() -> str:
        return str(page.execute_script("return getComputedStyle(document.body).backgroundColor"))

    button = page.find_element("id", "theme")
    button.click()
    light = background()
    button.click()
    assert background() != light
    assert button.get_attribute("aria-label") == "Theme: dark"


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_no_horizontal_scroll(page: Any, width: int) -> None:
    size(page, width)
    page.execute_script("for (const item of document.querySelectorAll('details')) item.open = true")
    widest, window = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert widest <= window == width


def test_long_names_do_not_widen_a_phone(driver: Any, tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", size=32)
    path = run / "metrics.json"
    metrics = json.loads(path.read_text())
    long = "x" * 300
    metrics["data"] |= {"title": long, "skipped": [{"path": f"{long}/{long}", "reason": long}]}
    metrics["config"] |= {long: long}
    metrics["threat_model"]["sees"] = [long]
    for row in metrics["attacks"]["pli"]["per_target"]:
        row["name"] = long
    metrics["attacks"][long] = metrics["attacks"]["pli"] | {"summary": long, "choices": {long: long}}
    path.write_text(json.dumps(metrics))
    size(driver, 360)
    driver.get(build(run).as_uri())
    driver.execute_script("for (const item of document.querySelectorAll('details')) item.open = true")
    assert driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]") == [360, 360]


def test_no_error_and_no_network(page: Any) -> None:
    page.get_log("performance"), page.get_log("browser")
    page.refresh()
    choose(page, "sort", "success")
    page.find_element("id", "truth").click()
    assert page.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert sent
    assert all(address.startswith(("file:", "data:")) for address in sent)


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(play(fabricate(tmp_path_factory.mktemp("game") / "run", size=32))).as_uri()


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_a_game_shows_truth_public_in_and_out_in_one_line(driver: Any, game: str, width: int) -> None:
    size(driver, width)
    driver.get(game)
    driver.execute_script("for (const item of document.querySelectorAll('details')) item.open = true")
    widest, window = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert widest <= window == width
    script = """return [...document.querySelector('.card').querySelectorAll('.cell')].slice(0, 4)
        .map(cell => [cell.querySelector('.cell-title').textContent,
                      Math.round(cell.querySelector('img').getBoundingClientRect().top)])"""
    cells = driver.execute_script(script)
    assert [title for title, _ in cells] == ["truth", "public mean", "in", "out"]
    assert max(top for _, top in cells) - min(top for _, top in cells) <= 3


def test_a_game_sorts_by_what_the_images_changed(driver: Any, game: str) -> None:
    size(driver, 1280)
    driver.get(game)
    choose(driver, "show", "only")
    only = labels(driver)
    choose(driver, "show", "all")
    choose(driver, "sort", "gain")
    assert 0 < len(only) < 8
    assert labels(driver)[0] in only
    assert driver.get_log("browser") == []


@pytest.mark.parametrize("which", ["url", "game"])
def test_the_first_page_on_paper_has_the_verdict_and_what_now(
    driver: Any, which: str, request: pytest.FixtureRequest
) -> None:
    size(driver, 703)  # what A4 leaves between its margins, in CSS pixels; letter is wider, and 964 high
    driver.get(request.getfixturevalue(which))
    top = "return document.querySelector(arguments[0]).getBoundingClientRect().top + scrollY"
    bottom = "return document.querySelector(arguments[0]).getBoundingClientRect().bottom + scrollY"
    assert driver.execute_script("return document.querySelector('.printed').offsetHeight") == 0
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        parts = [".verdict", ".printed", ".next"]
        tops = [driver.execute_script(top, part) for part in parts]
        assert tops == sorted(tops)
        assert driver.execute_script(bottom, ".next") < 964
        assert (
            driver.execute_script("return document.documentElement.scrollWidth") <= 703
        )  # else all is scaled down
        for behind in ("#threat", "#evidence", "#record", ".facts", ".pair"):
            assert driver.execute_script(top, behind) > driver.execute_script(bottom, ".next")
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
