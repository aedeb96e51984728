"""Columns of one's own classes come from a model that learnt nothing private."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
from beside import Beside
from logitleak import config as configs
from logitleak.data.split import prepare
from logitleak.defenses.draws import System
from logitleak.defenses.hide_column import HideColumn
from logitleak.defenses.spaces import Kind
from logitleak.errors import UserError
from logitleak.files.storage import read_tensors
from logitleak.schemes.base import ClientContext
from logitleak.stages.banks import bank_of, scheme_of
from logitleak.stages.check import check
from logitleak.types import ClientData, Payload

Tiny = Callable[..., dict[str, Any]]


def sent(kind: Kind, values: list[float], held: list[int], said: list[float]) -> list[float]:
    defense = HideColumn(HideColumn.Settings(), kind, System())
    defense.inside = Beside(torch.tensor([[said]], dtype=torch.float64), held)
    rows = torch.tensor([values], dtype=torch.float64)
    return defense.on_upload(rows, torch.arange(1), 1)[0].tolist()


@pytest.mark.parametrize(
    ("kind", "values", "held", "said", "expected"),
    [
        ("logits", [5, -1, 2], [0], [1, 7, 7], [1, -1, 2]),
        ("logits", [5, -1, 2], [], [1, 7, 7], [5, -1, 2]),
        ("probabilities", [0.8, 0.15, 0.05], [0], [0.2, 0.7, 0.1], [0.2, 0.6, 0.2]),
        ("probabilities", [1, 0, 0], [0], [0.2, 0.7, 0.1], [0.2, 0.4, 0.4]),  # nothing is left: evenly
        ("probabilities", [0.8, 0.15, 0.05], [0, 1, 2], [0.2, 0.7, 0.1], [0.2, 0.7, 0.1]),
        ("probabilities", [0.8, 0.15, 0.05], [], [0.2, 0.7, 0.1], [0.8, 0.15, 0.05]),
        ("probabilities", [0.8, 0.15, 0.05], [2], [0, 0, 1], [0, 0, 1]),
    ],
)
def test_by_hand(
    kind: Kind, values: list[float], held: list[int], said: list[float], expected: list[float]
) -> None:
    assert sent(kind, values, held, said) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_own_columns_do_not_depend_on_own_outputs(kind: Kind) -> None:
    one, two = (sent(kind, values, [1], [0.3, 0.3, 0.4]) for values in ([0.1, 0.8, 0.1], [0.2, 0.2, 0.6]))
    assert one[1] == two[1]
    assert one[2] != two[2]


def test_in_a_federation(tiny_config: Tiny, tmp_path: Path) -> None:
    """Round 1 of FedMD, by hand: public training alone for one's own columns, and the plain upload for the others."""
    given = tiny_config(labelled=True) | {"attacks": {}}
    plain = logitleak.run(given, tmp_path / "plain").path
    given["defenses"] = [{"name": "hide-column", "clients": [1]}]
    hidden = logitleak.run(given, tmp_path / "hidden").path
    config = configs.parse(given)
    split = prepare(config.data, 2, config.seed).split
    held = split.truth.client(1).labels.unique()
    assert len(held) > 0

    bank = bank_of(
        config.federation, "cnn", [1], split.public.image_size, split.num_classes, 0, torch.device("cpu")
    )
    nothing = ClientData(split.public.images[:0], split.public.labelled().labels[:0])
    context = ClientContext(split.public, 0, [1])
    scheme_of(config.federation).actions["transfer"](bank, [nothing], Payload(), context)
    expected = bank.predict(split.public.images)[0]

    uploads = [
        [read_tensors(run / f"wire/round-{t:02d}/upload.safetensors") for t in (1, 2)]
        for run in (plain, hidden)
    ]
    before, after = uploads[0][0]["client-1/logits"], uploads[1][0]["client-1/logits"]
    mine = torch.isin(torch.arange(split.num_classes), held)
    assert torch.equal(after[:, mine], expected[:, mine])
    assert not torch.equal(after[:, mine], before[:, mine])
    assert torch.equal(after[:, ~mine], before[:, ~mine])
    assert torch.equal(uploads[0][0]["client-0/logits"], uploads[1][0]["client-0/logits"])
    # columns that stood still would name themselves
    later = uploads[1][1]["client-1/logits"]
    assert bool((later != after).any(0).all())


def test_it_comes_before_what_promises(tiny_config: Tiny) -> None:
    """Which columns are replaced depends on private labels; behind noise that would not be noised."""
    given = tiny_config() | {"attacks": {}}
    check(configs.parse(given | {"defenses": ["hide-column", "gaussian"]}))
    for noise in ("gaussian", "laplace"):
        with pytest.raises(
            UserError, match=f"behind {noise} it voids what that promises; put hide-column first"
        ):
            check(configs.parse(given | {"defenses": [noise, "hide-column"]}))
    apart = [{"name": "gaussian", "clients": [0]}, {"name": "hide-column", "clients": [1]}]
    check(configs.parse(given | {"defenses": apart}))


@pytest.mark.parametrize("understudied", ["hide-column", "toward-public"])
def test_nothing_changes_outputs_before_an_understudy_replaces_them(
    understudied: str, tiny_config: Tiny
) -> None:
    """Raw columns beside coarser ones would name themselves."""
    given = tiny_config() | {"attacks": {}}
    for other in ("round", "hard-label", "temperature", "sparse", "top-k"):
        with pytest.raises(UserError, match=f"those that {other} has changed.*put {understudied} first"):
            check(configs.parse(given | {"defenses": ["early-stop", other, understudied]}))
        check(configs.parse(given | {"defenses": ["early-stop", understudied, other]}))
    check(configs.parse(given | {"defenses": ["hide-column", "toward-public"]}))
    check(configs.parse(given | {"defenses": ["toward-public", "hide-column"]}))
