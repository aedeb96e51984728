"""Who looks at a federation: every client is asked about once, and nobody sees more than is said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from logitleak.attacks.differences import isolated
from logitleak.audits.base import Asked, Played
from logitleak.schemes.dsfl import mean_probabilities
from logitleak.sealed.game import Game
from logitleak.stages.audit_beside import calibrated
from logitleak.stages.lab import MockTwins
from logitleak.stages.seen import ONLOOKERS, AskedAbout, ClientView, onlookers_of, taking_part
from logitleak.types import Event, Payload, PublicData, Summed, UploadKind
from logitleak.wire.transcript import Transcript
from logitleak.wire.writer import Aggregated, Manifest, TranscriptWriter, Uploads

ROWS, CLASSES = 6, 5


def recorded(
    folder: Path,
    clients: int = 4,
    kind: UploadKind = "logits",
    sent: bool = True,
    absent: tuple[int, ...] = (),
) -> Transcript:
    """Two rounds in which the server sends the mean of all uploads back."""
    name = kind
    manifest = Manifest(
        format=1, scheme="any", clients=clients, rounds=2, num_classes=CLASSES, target_labels=[1, 3],
        uploads=Uploads(action="upload", tensor=name, kind=kind),
    )  # fmt: skip
    public = PublicData(
        torch.zeros(ROWS, 3, 2, 2, dtype=torch.uint8), None, torch.ones(ROWS, dtype=torch.bool)
    )
    writer = TranscriptWriter(folder, manifest, public)
    writer.commit(0)
    for round in (1, 2):
        values = torch.randn(clients, ROWS, CLASSES, generator=torch.Generator().manual_seed(round))
        values = values.softmax(2) if kind == "probabilities" else values
        heard = {k: Payload({name: values[k]}) for k in range(clients) if k not in absent or round == 2}
        missing = {k: "away" for k in range(clients) if k not in heard}
        writer.write(Event(round, "upload", Payload(), heard, missing))
        if sent:
            writer.write(
                Event(
                    round,
                    "digest",
                    Payload({"consensus": values.mean(0)}),
                    {k: Payload() for k in range(clients)},
                )
            )
        writer.write_own(round, torch.zeros(ROWS, CLASSES))
        writer.commit(round)
    return Transcript(folder)


@pytest.mark.parametrize("clients", [1, 2, 4, 5])
@pytest.mark.parametrize("who", list(ONLOOKERS))
def test_every_client_is_asked_about_once(who: str, clients: int, tmp_path: Path) -> None:
    away = (0,) if who == "sums, differences" and clients > 1 else ()
    sights = ONLOOKERS[who].sights(recorded(tmp_path / "wire", clients, absent=away))
    about = [client for sight in sights for client in sight.about]
    assert sorted(about) in ([], list(range(clients)))
    if clients >= 4:
        assert about
    for sight in sights:
        assert sight.view.clients in (1, len(sight.about))


def test_another_client_sees_the_consensus_and_its_own_first_words(tmp_path: Path) -> None:
    view = recorded(tmp_path / "wire")
    for sight in ONLOOKERS["another client"].sights(view):
        (about,) = sight.about
        seen = sight.view
        assert isinstance(seen, ClientView)
        assert seen.client == (about + 1) % 4
        for round in (1, 2):
            mean = torch.stack([view.client_logits(k, round)[1] for k in range(4)]).mean(0)
            torch.testing.assert_close(seen.client_logits(0, round)[1], mean)
            torch.testing.assert_close(seen.server_logits(round), view.client_logits(seen.client, 1)[1])


def test_probabilities_that_were_sent_out_come_as_logits(tmp_path: Path) -> None:
    view = recorded(tmp_path / "wire", kind="probabilities")
    sight = ONLOOKERS["another client"].sights(view)[0]
    mean = mean_probabilities([view.client_values(k, 1)[1] for k in range(4)])
    torch.testing.assert_close(sight.view.client_logits(0, 1)[1].softmax(1), mean)


def test_who_answers_late_is_compared_with_what_it_said_then(tmp_path: Path) -> None:
    view = recorded(tmp_path / "wire", absent=(1,))
    seen = ClientView(view, 1)
    torch.testing.assert_close(seen.server_logits(1), view.client_logits(1, 2)[1])
    assert len(seen.client_logits(0, 1)[0]) == 0  # it answered for no row in that round


def test_a_row_that_is_first_asked_about_later_is_compared_with_what_was_said_then(tmp_path: Path) -> None:
    """A scheme may ask for other rows in every round."""
    view = recorded(tmp_path / "wire")
    asked = {1: torch.tensor([0, 1, 2]), 2: torch.tensor([4, 2])}
    uploads = {t: view.client_logits(1, t)[1] for t in (1, 2)}

    class Some(Transcript):
        def client_logits(self, client: int, round: int) -> tuple[torch.Tensor, torch.Tensor]:
            return asked[round], uploads[round][asked[round]]

    seen = ClientView(Some(view.folder), 1)
    for round in (1, 2):
        own = seen.server_logits(round)
        assert torch.equal(own[[0, 1, 2]], uploads[1][[0, 1, 2]])
        assert torch.equal(own[4], uploads[2][4])
        assert not bool(own[[3, 5]].any())


def test_without_a_consensus_on_record_no_client_sees_anything(tmp_path: Path) -> None:
    assert ONLOOKERS["another client"].sights(recorded(tmp_path / "wire", sent=False)) == []


def test_half_of_the_clients_tell_the_server_their_own(tmp_path: Path) -> None:
    view = recorded(tmp_path / "wire", 5)
    first, second = ONLOOKERS["sum, half colluding"].sights(view)
    assert (list(first.about), list(second.about)) == ([0, 1], [2, 3, 4])
    mean = torch.stack([view.client_logits(k, 1)[1] for k in (2, 3, 4)]).mean(0)
    torch.testing.assert_close(second.view.client_logits(0, 1)[1], mean)
    assert ONLOOKERS["sum, half colluding"].sights(recorded(tmp_path / "three", 3)) == []


def test_differences_are_of_rounds_with_other_absentees(tmp_path: Path) -> None:
    onlooker = ONLOOKERS["sums, differences"]
    view = recorded(tmp_path / "one", absent=(2,))
    assert taking_part(view).tolist() == [[True, True, False, True], [True] * 4]
    assert isolated(taking_part(view)).tolist() == [False, False, True, False]
    (sight,) = onlooker.sights(view)
    assert (list(sight.about), list(sight.aside)) == ([0, 1, 2, 3], [0, 1, 3])
    sums = [sum(view.client_logits(k, t)[1] for k in range(4) if t == 2 or k != 2) for t in (1, 2)]
    torch.testing.assert_close(sight.view.client_logits(2, 2)[1], sums[1] - sums[0], atol=1e-3, rtol=1e-3)
    assert len(sight.view.client_logits(2, 1)[0]) == 0


def test_differences_of_means_where_no_upload_is_on_record(tmp_path: Path) -> None:
    """The record of a hidden sum says who was away, and that is enough."""
    manifest = Manifest(
        format=1, scheme="any", clients=3, rounds=2, num_classes=CLASSES, target_labels=[1, 3],
        uploads=Uploads(action="upload", tensor="logits", kind="logits"), aggregation=Aggregated(kind="any"),
    )  # fmt: skip
    public = PublicData(
        torch.zeros(ROWS, 3, 2, 2, dtype=torch.uint8), None, torch.ones(ROWS, dtype=torch.bool)
    )
    writer, said = TranscriptWriter(tmp_path, manifest, public), torch.randn(3, ROWS, CLASSES)
    writer.commit(0)
    for round, members in ((1, [0, 1, 2]), (2, [1, 2])):
        summed = Summed(Payload({"logits": said[members].mean(0)}), dict.fromkeys(members, 8))
        away = {k: "away" for k in range(3) if k not in members}
        writer.write(Event(round, "upload", Payload(), {}, away, summed))
        writer.write_own(round, torch.zeros(ROWS, CLASSES))
        writer.commit(round)
    onlooker = onlookers_of(Transcript(tmp_path))["differences"]
    (sight,) = onlooker.sights(Transcript(tmp_path))
    assert list(sight.aside) == [1, 2]
    torch.testing.assert_close(sight.view.client_logits(0, 1)[1], said[0], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("clients", "absent", "said"),
    [(4, (), "of the same clients"), (5, (0, 1), None), (1, (), None)],
)
def test_where_nothing_can_be_subtracted_that_is_said(
    clients: int, absent: tuple[int, ...], said: str | None, tmp_path: Path
) -> None:
    onlooker = ONLOOKERS["sums, differences"]
    view = recorded(tmp_path / "wire", clients, absent=absent)
    why = onlooker.nothing(view)
    assert bool(onlooker.sights(view)) == bool(absent)
    if said is not None:
        assert why is not None
        assert said in why
        assert "\n" not in why
    assert (why is None) == (clients < 2 or bool(absent))


def test_a_lab_is_asked_about_the_real_targets(tmp_path: Path) -> None:
    view = recorded(tmp_path / "wire")
    other = AskedAbout(view, torch.tensor([0, 4]))
    assert other.knowledge.target_labels.tolist() == [0, 4]
    assert view.knowledge.target_labels.tolist() == [1, 3]


def test_who_of_the_servers_own_people_was_in(tmp_path: Path) -> None:
    """By the coin of each, at the client that it is about; where a sum is seen, in the data of all that it shows."""
    view = recorded(tmp_path / "wire", 4)
    units, strata = torch.tensor([0, 2, 4]), torch.tensor([0, 2, 2])
    coins = torch.tensor([[True, False, True]])
    for unit in ("person", "person-at-client"):
        game = Game("twins", units, strata, coins, unit)  # type: ignore[arg-type]
        twins = cast(MockTwins, SimpleNamespace(views=[view], game=game))

        def asked(who: str, twins: MockTwins = twins) -> list[Played]:
            about = calibrated(Asked.nothing(), twins, ONLOOKERS[who], torch.tensor([1, 3]))
            assert [one.knowledge.target_labels.tolist() for one in about.lab] == [[1, 3]] * len(about.lab)
            assert all(one.view.knowledge.target_labels.tolist() == [0, 2, 4] for one in about.people)
            return list(about.people)

        (server,) = asked("server")
        assert server.inside.nonzero().tolist() == [[0, 0], [2, 2]]
        everywhere = [[0, 1], [1, 1], [2, 1], [3, 1]]
        assert server.outside.nonzero().tolist() == (everywhere if unit == "person" else [[2, 1]])
        (whole,) = asked("sum")
        assert (whole.inside.tolist(), whole.outside.tolist()) == (
            [[True, False, True]],
            [[False, True, False]],
        )
        first, second = asked("sum, half colluding")
        assert (first.inside.tolist(), second.inside.tolist()) == (
            [[True, False, False]],
            [[False, False, True]],
        )
        assert first.outside.tolist() == [[False, unit == "person", False]]
    game = Game("twins", units, strata, coins, "image", torch.arange(3))
    twins = cast(MockTwins, SimpleNamespace(views=[view], game=game))
    about = calibrated(Asked.nothing(), twins, ONLOOKERS["server"], torch.tensor([1, 3]))
    assert (len(about.lab), len(about.people)) == (1, 0)
