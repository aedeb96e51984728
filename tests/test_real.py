"""The real face sets, where LOGITLEAK_REAL_DATA names the folder that holds them. Nothing of them is kept."""

import os
from pathlib import Path

import pytest

import logitleak
from logitleak import config as configs
from logitleak.data.overview import load

CONFIGS = Path(__file__).parent.parent / "configs"


def root(name: str) -> Path:
    folder = Path(os.environ.get("LOGITLEAK_REAL_DATA", "/nowhere")) / name
    if not folder.is_dir():
        pytest.skip(f"needs {name} in the folder that LOGITLEAK_REAL_DATA names")
    return folder


@pytest.mark.real
def test_att_layout() -> None:
    dataset = load("att", root("att_faces"), 64)
    counts = {name: len(rows) for name, rows in dataset.sensitive.by_identity().items()}
    assert counts == {f"s{i}": 10 for i in range(1, 41)}
    assert not dataset.sensitive.skipped


@pytest.mark.real
def test_lfw_layout() -> None:
    dataset = load("lfw", root("lfw-deepfunneled"), 64)
    assert len(dataset.sensitive.by_identity()) >= 1000
    assert dataset.sensitive.pixels.shape[1:] == (3, 64, 64)


@pytest.mark.real
def test_att_leaks(tmp_path: Path) -> None:
    """Eight targets are few; the closed form must still beat both rivals."""
    overrides = [f"data.root={root('att_faces')}", "federation.clients=1", "attacks={ridge: {tune: none}}"]
    result = logitleak.run(configs.load(CONFIGS / "att.yaml", overrides), tmp_path / "att")
    assert result.accuracy("ridge") > max(result.accuracy("prior"), result.accuracy("public-mean"))
    assert result.accuracy("ridge") >= 3 / 8


@pytest.mark.real
@pytest.mark.slow
def test_lfw_leaks(tmp_path: Path) -> None:
    """100 identities: nearly everybody is rebuilt; a baseline of the same cost is far behind."""
    tbi = "tbi: {settings: {width: 128, lr: 0.001, steps: 60}}"
    overrides = [f"data.root={root('lfw-deepfunneled')}", f"attacks={{ridge: {{tune: none}}, {tbi}}}"]
    result = logitleak.run(configs.load(CONFIGS / "lfw-100.yaml", overrides), tmp_path / "lfw")
    assert result.accuracy("ridge") >= 0.85
    assert result.accuracy("ridge") >= result.accuracy("tbi") + 0.3
    assert result.accuracy("ridge") >= result.accuracy("prior") + 0.5


@pytest.mark.real
@pytest.mark.slow
def test_lfw_leaks_in_twin_worlds(tmp_path: Path) -> None:
    """What comes back of 20 people is what their images changed; ridge, tuned for likeness, rebuilds them without."""
    attacks = "attacks={gap: {tune: public}, ridge: {tune: none}}"
    overrides = [f"data.root={root('lfw-deepfunneled')}", "game.design=twins", "federation.rounds=2", attacks]
    found = logitleak.run(configs.load(CONFIGS / "lfw-100.yaml", overrides), tmp_path / "lfw").metrics[
        "attacks"
    ]
    gap, ridge = (found[name]["leak"]["chosen"] for name in ("gap", "ridge"))
    assert gap["leak"]["low"] > 0
    assert gap["leak"]["value"] >= 0.5
    assert gap["wins"]["p"] < 0.05
    assert gap["leak"]["value"] > ridge["leak"]["value"]


@pytest.mark.real
def test_cifar_layout() -> None:
    dataset = load("images", root("cifar10") / "test", 32)
    counts = {name: len(rows) for name, rows in dataset.sensitive.by_identity().items()}
    assert len(counts) == 10
    assert set(counts.values()) == {500}
    assert dataset.insensitive is None


@pytest.mark.real
@pytest.mark.slow
def test_cifar_leaks_who_used_a_class(tmp_path: Path) -> None:
    """Four clients share ten classes at random; a coin says whether one of them used a class, and its logits tell."""
    overrides = [
        f"data.root={root('cifar10') / 'test'}", "data.max_images=100", "data.partition=iid",
        "data.partition_settings={}",
        "federation.clients=4", "federation.rounds=1", "federation.models=[cnn]", "federation.server_model=cnn",
        "baselines=false", "attacks={gap: {tune: none}}", "game.worlds=4",
    ]  # fmt: skip
    result = logitleak.run(configs.load(CONFIGS / "cifar10.yaml", overrides), tmp_path / "cifar")
    wins = result.metrics["attacks"]["gap"]["leak"]["owner"]["wins"]
    assert wins["successes"] >= 9
