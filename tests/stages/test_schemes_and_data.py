"""What a scheme and its data must agree on, and what evaluation makes of an unlabelled public set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
from logitleak.config import parse
from logitleak.data.split import prepare
from logitleak.sealed.files import read_truth
from logitleak.sealed.truth import unlabelled
from logitleak.stages.check import check
from logitleak.stages.plan import plan
from logitleak.wire.transcript import Transcript

Config = Callable[..., dict[str, Any]]


def with_scheme(config: dict[str, Any], scheme: str, **changes: Any) -> dict[str, Any]:
    federation = {"scheme": scheme, "clients": 2, "rounds": 2, "batch": 16} | changes
    attacks = ["gradients"] if scheme in ("fedavg", "feddf", "fedkd", "fedavg-gan") else ["ridge"]
    return config | {"federation": federation, "attacks": attacks}


def test_unlabelled_renumbers_and_hides(tiny_config: Config) -> None:
    split = prepare(parse(tiny_config()).data, 2, 0).split
    hidden = unlabelled(split)
    targets = split.truth.target_labels
    assert hidden.public.labels is None
    assert hidden.num_classes == len(targets)
    assert hidden.truth.target_labels.tolist() == list(range(len(targets)))
    assert torch.equal(targets[hidden.truth.labels], split.truth.labels)
    for image in range(len(split.public)):  # the same people under new numbers
        before = split.truth.names[int(split.truth.public_labels[image])]
        assert hidden.truth.names[int(hidden.truth.public_labels[image])] == before
    assert set(hidden.truth.held_labels.tolist()) <= set(range(len(targets)))


def test_dsfl_counts_all_public_means(tmp_path: Path, tiny_config: Config) -> None:
    """Competitors are all private and all public means, though nobody labelled the public set."""
    result = logitleak.run(with_scheme(tiny_config(), "dsfl"), tmp_path / "run")
    view = Transcript(result.path)
    assert view.knowledge.public.labels is None
    assert "labels" not in view.provides
    assert view.knowledge.num_classes == 2
    assert result.metrics["data"]["identities"] == 6
    assert result.metrics["data"]["chance"] == pytest.approx(1 / (2 + 6))
    assert len(torch.unique(read_truth(result.path / "sealed").public_labels)) == 6
    assert result.metrics["attacks"]["public-mean"]["too_close_to_public"]["value"] == 1


def test_a_labelled_scheme_refuses_an_unlabelled_public_set(tiny_config: Config) -> None:
    for scheme in ("fedmd", "fedgems"):
        with pytest.raises(logitleak.UserError, match=f"{scheme} needs a labelled public set.*dsfl"):
            check(parse(with_scheme(tiny_config(labelled=False), scheme)))
    check(parse(with_scheme(tiny_config(labelled=False), "dsfl")))


def test_attacks_that_a_scheme_cannot_feed_are_refused_before_anything_runs(tiny_config: Config) -> None:
    config = with_scheme(tiny_config(), "fedavg") | {"attacks": ["ridge"]}
    with pytest.raises(logitleak.UserError, match='"ridge" needs the clients\' outputs.*fedavg has none'):
        check(parse(config))
    config = with_scheme(tiny_config(), "fedmd") | {"attacks": ["gradients"]}
    with pytest.raises(logitleak.UserError, match="gradients or weights.*fedmd has none"):
        check(parse(config))


@pytest.mark.parametrize("scheme", ["fedavg", "feddf", "fedkd", "fedavg-gan"])
def test_sharing_models_wants_one_architecture(scheme: str, tiny_config: Config) -> None:
    with pytest.raises(logitleak.UserError, match="same model everywhere"):
        check(parse(with_scheme(tiny_config(), scheme, models=["cnn", "mlp"])))


@pytest.mark.parametrize("defense", ["round", "mixup"])
def test_who_shares_models_has_no_defense(defense: str, tiny_config: Config) -> None:
    with pytest.raises(logitleak.UserError, match="defense"):
        check(parse(with_scheme(tiny_config(), "feddf") | {"defenses": [defense]}))
    check(parse(with_scheme(tiny_config(), "cronus") | {"defenses": [defense]}))


def test_a_sum_of_models_is_refused(tiny_config: Config) -> None:
    with pytest.raises(logitleak.UserError, match="feddf needs single answers"):
        check(parse(with_scheme(tiny_config(), "feddf", aggregation={"kind": "secure-sum"})))


@pytest.mark.slow
def test_attacks_on_shared_models_run_on_feddf(tmp_path: Path, tiny_config: Config) -> None:
    names = ("gs", "dlg", "idlg", "cpl", "mi-face")
    attacks = {name: {"attack": name, "settings": {"steps": 2}} for name in names}
    run = logitleak.run(with_scheme(tiny_config(), "feddf") | {"attacks": attacks}, tmp_path / "feddf")
    assert set(names) <= set(run.metrics["attacks"])
    assert "model after local training" in " ".join(run.metrics["threat_model"]["sees"])
    view = Transcript(run.path)
    assert view.knowledge.public.labels is None
    sent, gradients = view.global_model(2), view.client_gradients(1, 2)
    assert (sent.architecture, gradients.keys()) == ("cnn", sent.weights.keys())
    size = 4 * sum(value.numel() for value in sent.weights.values())
    assert view.bytes_received(2) == view.bytes_sent(2) == {0: size, 1: size}


def test_attacks_and_twins_of_cronus(tmp_path: Path, tiny_config: Config) -> None:
    """Output attacks need nothing that DS-FL does not give them; worlds are played alike."""
    config = with_scheme(tiny_config(targets=4), "cronus") | {"game": {"design": "twins"}}
    network = {"width": 16, "steps": 2, "batch": 4}
    config["attacks"] = {
        "ridge": {"attack": "ridge"},
        "gap": {"attack": "gap", "settings": {"reference": "shadow"}},
        "pli": {"attack": "pli", "settings": network, "view": "sum"},
    }
    result = logitleak.run(config, tmp_path / "run")
    assert all(result.metrics["attacks"][name]["leak"] for name in config["attacks"])
    sees = " ".join(result.metrics["threat_model"]["sees"])
    assert "class probabilities (softmax outputs) on the public images" in sees


def test_a_robust_mean_needs_single_uploads(tiny_config: Config) -> None:
    summed = {"aggregation": {"kind": "secure-sum"}}
    with pytest.raises(
        logitleak.UserError, match="cronus needs single answers, and secure-sum shows their mean"
    ):
        check(parse(with_scheme(tiny_config(), "cronus", **summed)))
    check(parse(with_scheme(tiny_config(), "cronus", settings={"aggregation": "mean"}, **summed)))


def test_dsfl_wants_two_classes(tiny_config: Config) -> None:
    config = with_scheme(tiny_config(targets=1), "dsfl", clients=1)
    with pytest.raises(logitleak.UserError, match=r"raise data\.targets"):
        check(parse(config))


@pytest.mark.parametrize("scheme", ["dsfl", "cronus", "fedgems", "feddf", "fedkd", "fedavg", "fedavg-gan"])
def test_the_plan_of_every_scheme(scheme: str, tiny_config: Config) -> None:
    lines = "\n".join(plan(parse(with_scheme(tiny_config(), scheme))).lines())
    assert scheme in lines
    assert "6 people" in lines


def test_a_larger_server_model(tmp_path: Path, tiny_config: Config) -> None:
    config = with_scheme(tiny_config(), "fedgems", server_model="resnet")
    assert logitleak.run(config, tmp_path / "run").report.exists()


@pytest.mark.parametrize("send", ["weights", "gradients"])
def test_weights_and_gradients_say_the_same(send: str, tmp_path: Path, tiny_config: Config) -> None:
    config = with_scheme(tiny_config(), "fedavg", settings={"send": send})
    view = Transcript(logitleak.run(config | {"attacks": {}}, tmp_path / send).path)
    sent, gradients = view.global_model(2), view.client_gradients(1, 2)
    assert sent.architecture == "cnn"
    assert gradients.keys() == sent.weights.keys()
    other = with_scheme(tiny_config(), "fedavg")
    weights = Transcript(logitleak.run(other | {"attacks": {}}, tmp_path / "other").path)
    expected = weights.client_gradients(1, 2)
    for name, value in gradients.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-2, atol=1e-3)
