"""A run folder made up by the contract, whole and ready to be damaged; and a browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import FLAGS
from fabricate import fabricate

from needs import require


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Eight targets, three clients, three rounds."""
    return fabricate(tmp_path / "run", size=32)


@pytest.fixture
def edit(run: Path) -> Callable[[Callable[[dict[str, Any]], None]], Path]:
    """Change metrics.json in place."""

    def change(how: Callable[[dict[str, Any]], None]) -> Path:
        path = run / "metrics.json"
        metrics = json.loads(path.read_text())
        how(metrics)
        path.write_text(json.dumps(metrics))
        return run

    return change


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("chromium and chromedriver are not installed")
    webdriver = require("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(chromedriver))
    yield browser
    browser.quit()
