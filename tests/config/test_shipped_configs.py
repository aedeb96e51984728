"""Every config that ships is valid, and the demo's promise holds in small."""

from pathlib import Path

import pytest

import logitleak
from logitleak import config as configs
from logitleak.stages.check import check
from logitleak.sweep import config as sweeps
from logitleak.sweep.cells import combine, expand

HOME = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(HOME.glob("*.yaml"))
SWEEPS = sorted(path for path in HOME.glob("paper*/*.yaml") if not path.stem.startswith("base"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_settings_of_every_plugin_are_valid(path: Path) -> None:
    config = configs.load(path)
    if config.data.source in ("synthetic", "digits"):
        check(config)
    else:
        with pytest.raises(logitleak.UserError, match="data.root"):  # all else was found right before
            check(config)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_cell_of_every_sweep_is_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = sweeps.load(path)
    if path.parent.name == "paper-small":
        cells = expand(sweep)
    else:
        for name in ("LFW", "LAG", "FACESCRUB"):  # without the data all but the counts of people is checked
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(logitleak.UserError, match=r"There is no folder \$(LFW|LAG|FACESCRUB)"):
            expand(sweep)
        cells = list(combine(sweep))
    axes = {axis for cell in cells for axis in cell.axes}
    for show in sweep.show:
        asked = {*show.rows, *show.columns, *show.panels, *show.only, *([show.size] if show.size else [])}
        assert asked <= axes, f"{show.title} asks for axes that there are none of"


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    """What gap rebuilds is what the private images changed; the baseline leaks less."""
    demo = Path(__file__).parents[2] / "configs" / "demo.yaml"
    result = logitleak.run(demo, tmp_path / "demo")
    leaks = {
        name: result.metrics["attacks"][name]["leak"]["chosen"] for name in ("gap", "ridge", "pli", "tbi")
    }
    assert leaks["gap"]["leak"]["low"] > 0
    assert leaks["gap"]["leak"]["p"] < 0.05
    assert leaks["gap"]["wins"]["successes"] >= 15
    assert leaks["gap"]["leak"]["value"] >= leaks["tbi"]["leak"]["value"] + 0.25
    assert result.report.stat().st_size < 4_000_000
    assert result.accuracy("prior") == result.accuracy("public-mean") == 0
