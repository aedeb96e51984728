"""Every config that ships is valid, and the demo's promise holds in small."""

from pathlib import Path

import pytest

import logitleak
from logitleak import config as configs
from logitleak.stages.check import check

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_settings_of_every_plugin_are_valid(path: Path) -> None:
    config = configs.load(path)
    if config.data.source == "synthetic":
        check(config)
    else:
        with pytest.raises(logitleak.UserError, match="data.root"):  # all else was found right before
            check(config)


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    """pli and ridge beat tbi, whose failures are too close to public."""
    demo = Path(__file__).parent.parent / "configs" / "demo.yaml"
    result = logitleak.run(demo, tmp_path / "demo")
    assert result.accuracy("ridge") >= result.accuracy("tbi") + 0.25
    assert result.accuracy("pli") >= result.accuracy("tbi") + 0.25
    tbi = result.metrics["attacks"]["tbi"]
    failures = [row for row in tbi["per_target"] if not row["success"]]
    assert sum(row["too_close_to_public"] for row in failures) >= len(failures) / 2
    assert result.report.stat().st_size < 3_000_000
    assert result.accuracy("prior") == result.accuracy("public-mean") == 0
