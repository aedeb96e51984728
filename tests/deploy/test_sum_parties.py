"""One client of a sum against a server that lies: what it refuses to seal, to open and to believe."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from needs import needs

pytest.importorskip("cryptography", reason='cryptography is not installed: pip install -e ".[flower]"')

from logitleak.aggregation.agreement import KeyPair
from logitleak.config import FederationConfig
from logitleak.deploy.sums.make import party_of
from logitleak.deploy.sums.party import Party
from logitleak.deploy.sums.steps import DEAL, KEYS, OPEN, ROSTER, TAKE, UNMASK
from logitleak.deploy.told import Told
from logitleak.stages.banks import scheme_of
from logitleak.types import Payload

KINDS = ["secure-sum", pytest.param("ckks", marks=needs("tenseal"))]  # fmt: skip

UPLOAD = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


def party(kind: str = "secure-sum", client: int = 0, clients: int = 5) -> Party:
    federation = FederationConfig.model_validate({"clients": clients, "aggregation": kind})
    made = party_of(federation, scheme_of(federation), client)
    assert made is not None
    return made


def roster(parties: list[Party], **more: Any) -> Payload:
    keys = [one.steps[KEYS](0, Payload()).tensors["key"] for one in parties]
    return Payload(
        {"clients": torch.tensor([one.client for one in parties]), "keys": torch.stack(keys)} | more
    )


def agreed(kind: str = "secure-sum", clients: int = 5) -> list[Party]:
    parties = [party(kind, k, clients) for k in range(clients)]
    table = roster(parties)
    for one in parties:
        one.steps[ROSTER](0, table)
    if kind == "ckks":
        box = parties[0].steps[DEAL](0, Payload())
        for one in parties[1:]:
            one.steps[TAKE](0, Payload(box.tensors, {"dealer": 0}))
    return parties


def here(*clients: int) -> Payload:
    return Payload({"here": torch.tensor(clients)}, {"values": UPLOAD.numel()})


def test_secrets_are_those_of_the_pair() -> None:
    parties = agreed(clients=3)
    for one in parties:
        for other in parties:
            if one is not other:
                assert one.secrets("x")[other.client] == other.secrets("x")[one.client]
    assert parties[0].secrets("x") != parties[0].secrets("y")


@pytest.mark.parametrize("kind", KINDS)
def test_one_upload_of_a_round_is_sealed(kind: str) -> None:
    one = agreed(kind)[0]
    one.seal(1, UPLOAD)
    for again in (1, 0):
        with pytest.raises(Told, match=f"sealed its upload of round {again} already"):
            one.seal(again, UPLOAD + 1)
    one.seal(3, UPLOAD)


@pytest.mark.parametrize("kind", KINDS)
def test_without_keys_nothing_is_sealed(kind: str) -> None:
    with pytest.raises(Told, match="it has no keys? of this federation"):
        party(kind).seal(1, UPLOAD)
    one = party(kind)
    one.steps[KEYS](0, Payload())
    with pytest.raises(Told, match="it has no keys? of this federation"):
        one.seal(1, UPLOAD)


def test_what_is_kept_goes_on() -> None:
    first = agreed()[2]
    again = party(client=2)
    again.kept = dict(first.kept)
    assert torch.equal(again.seal(1, UPLOAD).tensors["sealed"], first.seal(1, UPLOAD).tensors["sealed"])


def test_masks_hide_the_upload() -> None:
    one = agreed()[0]
    first, second = (one.seal(round, UPLOAD).tensors["sealed"] for round in (1, 2))
    assert first.shape == second.shape == (UPLOAD.numel() * 4,)
    assert int((first == second).sum()) < 8  # of 96 bytes; the same upload is never the same words


def test_one_sum_of_a_round_is_opened() -> None:
    one = agreed()[0]
    one.seal(1, UPLOAD)
    told = one.steps[UNMASK](1, here(0, 1, 2, 3)).tensors["words"]
    assert torch.equal(told, one.steps[UNMASK](1, here(3, 2, 1, 0)).tensors["words"])  # the same is no news
    for other in ((0, 1, 2, 4), (0, 1, 2), (0, 1, 2, 3, 4)):
        with pytest.raises(Told, match="asked to open a second sum of round 1"):
            one.steps[UNMASK](1, here(*other))
    one.seal(2, UPLOAD)
    assert one.steps[UNMASK](2, here(0, 1, 2, 3, 4)).tensors["seed"].shape == (32,)


@pytest.mark.parametrize(
    ("clients", "said"),
    [
        ((0, 1), "a sum of 2, and opens none of fewer than a majority"),
        ((0,), "a sum of 1, and"),
        ((0, 0, 1, 1), "a sum of 2, and"),
        ((1, 2, 3), "a sum that it is not in"),
        ((0, 1, 2, 9), "strangers"),
    ],
)
def test_sums_of_few_or_of_strangers_stay_shut(clients: tuple[int, ...], said: str) -> None:
    one = agreed()[0]
    one.seal(1, UPLOAD)
    with pytest.raises(Told, match=said):
        one.steps[UNMASK](1, here(*clients))


def test_nothing_is_opened_that_was_not_sealed() -> None:
    one = agreed()[0]
    with pytest.raises(Told, match="it has sealed no upload in round 1"):
        one.steps[UNMASK](1, here(0, 1, 2))
    one.seal(1, UPLOAD)
    one.seal(2, UPLOAD)
    with pytest.raises(Told, match="it has sealed no upload in round 1"):
        one.steps[UNMASK](1, here(0, 1, 2))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"clients": torch.tensor([0, 1, 1])}, "list of clients that is none"),
        ({"clients": torch.tensor([0, 1, 7])}, "list of clients that is none"),
        ({"clients": torch.tensor([2, 1, 0])}, "list of clients that is none"),
        ({"clients": torch.tensor([1, 2, 3])}, "its own key is not among"),
        ({"keys": torch.ones(3, 32, dtype=torch.uint8)}, "one key of two clients"),
    ],
)
def test_a_roster_that_is_none_is_refused(change: dict[str, Any], said: str) -> None:
    parties = [party(client=k) for k in range(3)]
    with pytest.raises(Told, match=said):
        parties[0].steps[ROSTER](0, roster(parties, **change))


def test_a_roster_of_few_or_with_keys_of_low_order_is_refused() -> None:
    parties = [party(client=k) for k in range(3)]
    with pytest.raises(Told, match="it was shown 2 keys, and sums are of 3 at least"):
        parties[0].steps[ROSTER](0, roster(parties[:2]))
    table = roster(parties)
    table.tensors["keys"][2] = 0
    with pytest.raises(Told, match="a key that it was shown is no public key"):
        parties[0].steps[ROSTER](0, table)


def test_a_second_roster_is_refused() -> None:
    parties = agreed()
    for step in (KEYS, ROSTER):
        with pytest.raises(Told, match="it has agreed on keys already"):
            parties[0].steps[step](0, Payload())


def test_who_was_shown_another_roster_shares_no_secret() -> None:
    """So that masks do not cancel, and the sum is refused, where a server shows different keys to different clients."""
    parties = [party(client=k, clients=4) for k in range(4)]
    table = roster(parties)
    parties[0].steps[ROSTER](0, table)
    forged = Payload({**table.tensors, "keys": table.tensors["keys"].clone()})
    forged.tensors["keys"][3] = torch.frombuffer(bytearray(KeyPair.drawn().public), dtype=torch.uint8)
    parties[1].steps[ROSTER](0, forged)
    assert parties[0].secrets("x")[1] != parties[1].secrets("x")[0]


@needs("tenseal")
def test_the_key_of_all_is_dealt_once_and_opens_for_clients_alone() -> None:
    parties = agreed("ckks", 3)
    for step, message in ((DEAL, Payload()), (TAKE, Payload())):
        with pytest.raises(Told, match="it has the key of all clients already"):
            parties[0].steps[step](0, message)
    fresh = [party("ckks", k, 3) for k in range(3)]
    table = roster(fresh)
    for one in fresh:
        one.steps[ROSTER](0, table)
    box = fresh[0].steps[DEAL](0, Payload())
    for dealer in (1, 2):  # who did not lock it
        with pytest.raises(Told, match=r"does not open|shares a secret with"):
            fresh[1].steps[TAKE](0, Payload(box.tensors, {"dealer": dealer}))
    spoilt = {**box.tensors, "box": box.tensors["box"].roll(1)}
    with pytest.raises(Told, match="does not open"):
        fresh[1].steps[TAKE](0, Payload(spoilt, {"dealer": 0}))
    fresh[1].steps[TAKE](0, Payload(box.tensors, {"dealer": 0}))
    assert torch.equal(fresh[1].kept["context"], fresh[0].kept["context"])


@needs("tenseal")
def test_one_ciphertext_of_a_round_is_opened() -> None:
    parties = agreed("ckks", 3)
    first, second = (one.seal(1, UPLOAD).tensors["sealed"] for one in parties[:2])

    def ask(sealed: torch.Tensor, count: int) -> Payload:
        return parties[0].steps[OPEN](1, Payload({"sum": sealed}, {"count": count, "rows": 6, "classes": 4}))

    with pytest.raises(Told, match="asked to open a sum of 1"):
        ask(first, 1)
    assert ask(first, 2).tensors["mean"].shape == UPLOAD.shape
    with pytest.raises(Told, match="asked to open a second sum of round 1"):
        ask(second, 2)
    noise = torch.randint(256, first.shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    with pytest.raises(Told, match="does not decrypt to numbers"):
        parties[1].steps[OPEN](1, Payload({"sum": noise}, {"count": 2}))
