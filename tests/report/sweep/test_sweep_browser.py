"""The report of a sweep in a real browser: it sorts, it hides the truth, it fits a phone, it asks no network."""

from __future__ import annotations

import json
from typing import Any

import pytest
from browser import size
from fabricate_sweep import fabricate_sweep
from sweep_shows import EVERY_KIND

from logitleak.report import build_sweep

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(driver: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = fabricate_sweep(tmp_path_factory.mktemp("browser") / "sweep", EVERY_KIND, seeds=(0,))
    driver.get(build_sweep(folder).as_uri())
    return driver


@pytest.mark.parametrize("width", [390, 1280])
def test_no_horizontal_scroll(page: Any, width: int) -> None:
    size(page, width)
    page.execute_script("for (const item of document.querySelectorAll('details')) item.open = true")
    widest, window = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert widest <= window == width


def test_a_column_sorts_all_cells_and_keeps_dashes_last(page: Any) -> None:
    def column(number: int) -> list[str]:
        script = """return [...document.querySelectorAll('[data-sortable] tbody tr')]
            .map(row => row.cells[arguments[0]].innerText)"""
        return [str(cell) for cell in page.execute_script(script, number)]

    heads = [h.text for h in page.find_elements("css selector", "[data-sortable] th")]
    taus = heads.index("tau")
    button = page.find_elements("css selector", "[data-sortable] th button")[taus]
    page.execute_script("arguments[0].click()", button)
    assert column(taus) == ["1"] * 4 + ["3"] * 4 + ["–"] * 8
    page.execute_script("arguments[0].click()", button)
    assert column(taus) == ["3"] * 4 + ["1"] * 4 + ["–"] * 8


def test_truth_switch_hides_the_truth(page: Any) -> None:
    truths = page.find_elements("css selector", ".cell-truth img")
    assert truths
    page.execute_script("arguments[0].click()", page.find_element("id", "truth"))
    assert not any(image.is_displayed() for image in truths)
    page.execute_script("arguments[0].click()", page.find_element("id", "truth"))
    assert all(image.is_displayed() for image in truths)


def test_no_error_and_no_network(page: Any) -> None:
    page.get_log("performance"), page.get_log("browser")
    page.refresh()
    assert page.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert sent
    assert all(address.startswith(("file:", "data:")) for address in sent)
