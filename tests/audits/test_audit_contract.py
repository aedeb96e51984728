"""What holds for every registered audit: shapes, silence, order, and that nothing is found where nothing leaks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from planted import PlantedView, asked_of

from logitleak import registry
from logitleak.attacks.views import ViewOf
from logitleak.audits.base import Asked, Audit, create
from logitleak.errors import UserError
from logitleak.metrics.detection import area
from logitleak.types import ServerView

AUDITS = registry.names("audit")


def question(audit: Audit, view: PlantedView) -> Asked:
    return asked_of(view) if audit.needs_candidates else Asked.nothing()


class Renumbered(ViewOf):
    """The same uploads, whose rows come in another order."""

    def client_logits(self, client: int, round: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows, values = self.inner.client_logits(client, round)
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(round))
        return rows[order], values[order]


@pytest.mark.parametrize("name", AUDITS)
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("one_domain", [True, False])
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_what_it_gives_is_what_it_says(name: str, labelled: bool, one_domain: bool, kind: str) -> None:
    view = PlantedView(labelled=labelled, one_domain=one_domain, upload_kind=kind)  # type: ignore[arg-type]
    audit = create(name)
    found = audit.ask(view, question(audit, view))
    assert found
    again = create(name).ask(view, question(audit, view))
    for variant, value in found.items():
        torch.testing.assert_close(value, again[variant], equal_nan=True, rtol=0, atol=0)
        assert not bool(value.double().isnan().any())
    assert len(audit.question) > 10
    assert all(line.endswith(".") for line in audit.assumptions)


@pytest.mark.parametrize("name", AUDITS)
def test_a_silent_client_is_not_known(name: str) -> None:
    view, audit = PlantedView(absent=(1,)), create(name)
    found = audit.ask(view, question(audit, view))
    for variant, value in found.items():
        if audit.answer in ("membership", "shares") and variant not in ("uniform", "server"):
            assert bool(value[1].isnan().all())
            assert not bool(value[0].isnan().any())


@pytest.mark.parametrize("name", AUDITS)
@pytest.mark.parametrize("clients", [1, 2])
def test_one_and_two_clients(name: str, clients: int) -> None:
    view, audit = PlantedView(clients=clients, rounds=1), create(name)
    for value in audit.ask(view, question(audit, view)).values():
        assert not bool(value.double().isnan().any())


@pytest.mark.parametrize("name", AUDITS)
def test_nobody_answers(name: str) -> None:
    view, audit = PlantedView(absent=(0, 1, 2, 3)), create(name)
    audit.ask(view, question(audit, view))


@pytest.mark.parametrize("name", AUDITS)
def test_the_order_of_rows_says_nothing(name: str) -> None:
    view, audit = PlantedView(strength=1.0), create(name)
    there, back = audit.ask(view, question(audit, view)), audit.ask(Renumbered(view), question(audit, view))
    for variant, value in there.items():
        torch.testing.assert_close(value, back[variant], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", AUDITS)
def test_a_view_that_changes_nothing_changes_nothing(name: str) -> None:
    view, audit = PlantedView(), create(name)
    before = view.logits.clone()
    audit.ask(view, question(audit, view))
    assert torch.equal(before, view.logits)


@pytest.mark.parametrize("name", [n for n in AUDITS if create(n).answer == "membership"])
@pytest.mark.parametrize("labelled", [True, False])
def test_membership_that_is_planted_is_found_and_other_is_not(name: str, labelled: bool) -> None:
    """Over many federations without a leak the area is one half within its interval; with one it is nearly 1."""
    for strength, low, high in ((0.0, 0.44, 0.56), (2.0, 0.95, 1.0)):
        inside, outside = [], []
        for seed in range(40):
            members = torch.arange(8) % 8 < 4
            members = members[torch.randperm(8, generator=torch.Generator().manual_seed(seed))]
            view = PlantedView(strength=strength, inside=members, labelled=labelled, seed=seed)
            scores = next(iter(create(name).ask(view).values()))
            own = scores[view.owners, torch.arange(8)]
            inside += own[members].tolist()
            outside += own[~members].tolist()
        assert low <= area(inside, outside)["value"] <= high


@pytest.mark.parametrize("name", [n for n in AUDITS if create(n).answer == "records"])
def test_records_that_are_planted_are_found_and_others_are_not(name: str) -> None:
    view, audit = PlantedView(one_domain=True), create(name)
    for strength in (0.0, 4.0):
        asked = asked_of(view, members=300, strength=strength)
        for variant, scores in audit.ask(view, asked).items():
            found = area(scores[:300].tolist(), scores[300:].tolist())
            if strength == 0 or variant.startswith(
                "linear"
            ):  # the transcript of this view knows no candidate
                assert found["low"] - 0.02 <= 0.5 <= found["high"] + 0.02, (variant, found)
            else:
                assert found["low"] > 0.7, (variant, found)


@pytest.mark.parametrize("name", AUDITS)
def test_models_are_no_outputs(name: str) -> None:
    view = ViewOf(PlantedView())
    view.upload_kind = "weights"
    with pytest.raises(UserError, match="send models"):
        create(name).ask(view, asked_of(PlantedView()))


class Wrong(Audit):
    answer = "membership"
    question = "Is it wrong?"

    def __init__(self, given: dict[str, torch.Tensor]) -> None:
        super().__init__(self.Settings())
        self.given = given

    def probe(self, view: ServerView, asked: Asked) -> dict[str, torch.Tensor]:
        return self.given


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "no answer"),
        ({"a": torch.zeros(3, 8)}, "shape"),
        ({"a": torch.full((4, 8), torch.inf)}, "infinite"),
    ],
)
def test_what_is_no_answer_is_refused_in_one_line(given: dict[str, torch.Tensor], why: str) -> None:
    with pytest.raises(UserError, match=why) as refused:
        Wrong(given).ask(PlantedView())
    assert "\n" not in str(refused.value)


def test_what_is_missing_is_said() -> None:
    view = PlantedView()
    wanted = dict.fromkeys(("never-queried", "queried"), "images to ask about")
    for name, missing in (wanted | {"stealing": "to compare models on them"}).items():
        with pytest.raises(UserError, match=missing):
            create(name).ask(view)
    with pytest.raises(UserError, match="candidates=200"):
        create("queried").ask(view, replace(asked_of(view), replies={}))
    with pytest.raises(UserError, match="substitutes"):
        create("stealing").ask(view, replace(asked_of(view), students={}))
