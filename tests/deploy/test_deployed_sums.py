"""Sums over a deployment: the same means as in a simulation, by keys that the server never has."""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from loopback import Loopback, Spoil, deployment, faithful

import logitleak
from logitleak import config as configs
from logitleak.aggregation.base import Hiding, Sealed
from logitleak.config import AttackConfig
from logitleak.deploy.app import write_app
from logitleak.deploy.client import Client
from logitleak.deploy.config import DeployConfig, flat, of_run, parse
from logitleak.deploy.folders import read_facts
from logitleak.deploy.server import serve
from logitleak.errors import UserError
from logitleak.federation.channel import InProcessChannel, TooFewClients
from logitleak.files.storage import read_tensors
from logitleak.stages.run import attack_run
from logitleak.stages.verify import verify
from logitleak.types import Absence, Payload
from logitleak.wire.transcript import Transcript
from needs import needs, require

require("cryptography")

Tiny = Callable[..., dict[str, Any]]

KINDS = ["secure-sum", pytest.param("ckks", marks=needs("tenseal"))]  # fmt: skip


class Spied(Loopback):
    """Keeps all that the server sent and got, and what stayed with clients."""

    def __init__(self, config: DeployConfig, spoil: Spoil = faithful) -> None:
        super().__init__(config, spoil)
        self.seen: list[tuple[str, Payload]] = []

    def ask(
        self, action: str, round: int, message: Payload | None = None, only: Collection[int] | None = None
    ) -> Mapping[int, Payload | Absence]:
        replies = super().ask(action, round, message, only)
        self.seen.append((action, message or Payload()))
        self.seen += [(action, one) for one in replies.values() if isinstance(one, Payload)]
        return replies

    def forget(self, client: int) -> None:
        """What a client remembers is lost, as where its process is started again."""
        self._kept.pop(client)


def summed(tiny: Tiny, kind: str, scheme: str = "fedmd", **federation: Any) -> dict[str, Any]:
    values = tiny(scheme)
    values["federation"] |= {"aggregation": kind} | federation
    return values


def assert_same_transcript(found: Path, expected: Path) -> None:
    """To the bit, but for the sizes of what was sealed."""
    files = sorted(path.relative_to(expected) for path in expected.rglob("*.*"))
    assert files == sorted(path.relative_to(found) for path in found.rglob("*.*"))
    for name in files:
        if name.suffix == ".safetensors":
            one, other = (read_tensors(folder / name) for folder in (found, expected))
            assert one.keys() == other.keys()
            assert all(torch.equal(one[key], other[key]) for key in one)
        else:
            assert (found / name).read_bytes() == (expected / name).read_bytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["fedmd", pytest.param("dsfl", marks=pytest.mark.slow), "cronus"])
def test_equals_the_simulation(kind: str, scheme: str, four_clients: Tiny, tmp_path: Path) -> None:
    values = summed(four_clients, kind, scheme)
    if scheme == "cronus":
        values["federation"]["settings"] = {"aggregation": "mean"}
    config = deployment(values, tmp_path)
    serve(config, lambda form: Loopback(config))
    logitleak.run(values, tmp_path / "simulated")
    assert_same_transcript(tmp_path / "run" / "wire", tmp_path / "simulated" / "wire")


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_simulation_where_clients_are_drawn(kind: str, four_clients: Tiny, tmp_path: Path) -> None:
    values = summed(four_clients, kind, participation=0.75)
    config = deployment(values, tmp_path)
    serve(config, lambda form: Loopback(config))
    logitleak.run(values, tmp_path / "simulated")
    assert_same_transcript(tmp_path / "run" / "wire", tmp_path / "simulated" / "wire")
    assert [len(Transcript(tmp_path / "run").absent(t)["upload"]) for t in (1, 2)] == [1, 1]


def test_no_client_opens_the_sum_of_a_minority(four_clients: Tiny, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="sums of a majority alone, and federation.participation draws 2 of 4"
    ):
        deployment(summed(four_clients, "secure-sum", participation=0.5), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_simulation_where_a_client_sends_no_numbers(
    kind: str, four_clients: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client itself sees that its upload is none, and says so; the server never sees it."""

    def broken(round: int, client: int, action: str, answer: Payload) -> Payload:
        if (round, client, action) != (1, 2, "upload"):
            return answer
        return Payload({name: value * torch.inf for name, value in answer.tensors.items()})

    def at_client(self: Client, action: str, round: int, message: Payload, payload: Payload) -> Payload:
        return sealed(self, action, round, message, broken(round, self.number, action, payload))

    def simulated(self: InProcessChannel, action: str, round: int, message: Payload | None = None) -> Any:
        return {k: broken(round, k, action, one) for k, one in ask(self, action, round, message).items()}

    values = summed(four_clients, kind, minimum_clients=3)
    config = deployment(values, tmp_path)
    sealed, ask = Client._sealed, InProcessChannel.ask
    monkeypatch.setattr(Client, "_sealed", at_client)
    serve(config, lambda form: Loopback(config))
    monkeypatch.setattr(InProcessChannel, "ask", simulated)
    logitleak.run(values, tmp_path / "simulated")
    assert_same_transcript(tmp_path / "run" / "wire", tmp_path / "simulated" / "wire")
    absent = Transcript(tmp_path / "run").absent(1)
    assert absent == Transcript(tmp_path / "simulated").absent(1)
    assert absent == {"upload": {2: "logits holds NaN or infinite values"}}


@pytest.mark.parametrize("kind", KINDS)
def test_no_private_key_is_in_any_message_or_in_the_run_folder(
    kind: str, four_clients: Tiny, tmp_path: Path
) -> None:
    config = deployment(summed(four_clients, kind), tmp_path)
    spied = Spied(config)
    run = serve(config, lambda form: spied)
    secrets = [bytes(spied._kept[k]["sum/private"].numpy()) for k in range(4)]
    assert len(set(secrets)) == 4
    if kind == "ckks":  # the one key of all
        assert len({bytes(spied._kept[k]["sum/context"].numpy()) for k in range(4)}) == 1
        secrets.append(bytes(spied._kept[0]["sum/context"].numpy())[1000:1064])
    blobs = [one.numpy().tobytes() for _, payload in spied.seen for one in payload.tensors.values()]
    assert not any(isinstance(value, str) for _, payload in spied.seen for value in payload.scalars.values())
    for path in run.path.rglob("*"):
        if path.is_file():
            blobs.append(path.read_bytes())
        if path.suffix == ".safetensors":
            blobs += [value.numpy().tobytes() for value in read_tensors(path).values()]
    assert len(blobs) > 40
    for blob in blobs:
        assert not any(secret in blob for secret in secrets)
        if kind == "ckks":
            assert not opens(blob)
    public = next(payload.tensors["key"] for _, payload in spied.seen if "key" in payload.tensors)
    assert sum(public.numpy().tobytes() in blob for blob in blobs) > 1  # what travels is found so


def opens(blob: bytes) -> bool:
    """Whether some bytes, or what is in a row of them, are a context with a secret key."""
    import tenseal

    for start in (0, 4):
        try:
            context = tenseal.context_from(blob[start:])
        except Exception:
            continue
        if context.is_private():
            return True
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_an_absent_client_leaves_the_mean_of_the_others(
    kind: str, four_clients: Tiny, tmp_path: Path
) -> None:
    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        return Absence("was late") if (round, action, client) == (1, "upload", 3) else answer

    values = summed(four_clients, kind)
    config = deployment(values, tmp_path)
    run = serve(config, lambda form: Loopback(config, spoil))
    view = Transcript(run.path)
    assert view.absent(1) == {"upload": {3: "was late"}}
    assert view.absent(2) == {}
    plain = deployment(
        values | {"federation": values["federation"] | {"aggregation": "plain"}}, tmp_path / "b"
    )
    serve(plain, lambda form: Loopback(plain, spoil))
    single = read_tensors(plain.out / "wire" / "round-01" / "upload.safetensors")
    mean = torch.stack([single[f"client-{k}/logits"] for k in range(3)]).mean(0)
    found = read_tensors(run.path / "wire" / "round-01" / "upload.safetensors")["mean/logits"]
    torch.testing.assert_close(found, mean, rtol=1e-5, atol=2e-6)


def test_a_client_that_is_lost_before_the_sum_is_open_ends_the_federation(
    four_clients: Tiny, tmp_path: Path
) -> None:
    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        return Absence("was killed") if (round, action, client) == (2, "sum_unmask", 1) else answer

    config = deployment(summed(four_clients, "secure-sum"), tmp_path)
    with pytest.raises(TooFewClients) as why:
        serve(config, lambda form: Loopback(config, spoil))
    said = str(why.value)
    assert "The sum of upload in round 2 is lost" in said
    assert "client 1 was in it and did not help to open it: was killed" in said
    assert "ends after round 1; what is recorded in" in said
    assert "\n" not in said
    status = json.loads((config.out / "run.json").read_text())
    assert status["ended"]["after_round"] == 1
    assert Transcript(config.out).rounds == 1
    assert list(attack_run(config.out, "gap", AttackConfig(attack="gap")).metrics["attacks"]) == ["gap"]


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_than_a_majority_end_it(kind: str, four_clients: Tiny, tmp_path: Path) -> None:
    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        return Absence("is gone") if round == 2 and client < 2 else answer

    config = deployment(summed(four_clients, kind), tmp_path)
    assert config.minimum_clients == 1
    with pytest.raises(TooFewClients, match=r"2 of 4 clients answered upload .* 3 are needed") as why:
        serve(config, lambda form: Loopback(config, spoil))
    assert "ends after round 1" in str(why.value)


@pytest.mark.parametrize("kind", KINDS)
def test_without_keys_of_a_majority_nothing_begins(kind: str, four_clients: Tiny, tmp_path: Path) -> None:
    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        return Absence("is not connected") if client in (0, 3) else answer

    config = deployment(summed(four_clients, kind), tmp_path)
    with pytest.raises(TooFewClients, match="2 of 4 clients agreed on keys, and 3 are needed") as why:
        serve(config, lambda form: Loopback(config, spoil))
    assert "client 0 agreed on no keys: is not connected" in str(why.value)
    assert "No round was finished" in str(why.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", ["sum_keys", "sum_roster", "sum_deal", "sum_take"])
def test_who_is_not_there_for_keys_is_in_no_sum(
    kind: str, step: str, four_clients: Tiny, tmp_path: Path
) -> None:
    if kind == "secure-sum" and step in ("sum_deal", "sum_take"):
        return
    missing = 0 if step == "sum_deal" else 2

    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        return Absence("came late") if (action, client) == (step, missing) else answer

    config = deployment(summed(four_clients, kind), tmp_path)
    run = serve(config, lambda form: Loopback(config, spoil))
    view = Transcript(run.path)
    for round in (1, 2):
        assert view.absent(round) == {"upload": {missing: "agreed on no keys: came late"}}
        assert sorted(k for k, n in view.bytes_received(round).items() if n) == sorted(
            {0, 1, 2, 3} - {missing}
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_was_started_again_is_named(kind: str, four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(summed(four_clients, kind), tmp_path)
    looped: list[Spied] = []

    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        if (round, action, client) == (1, "revisit", 3):
            looped[0].forget(1)
        return answer

    looped.append(Spied(config, spoil))
    run = serve(config, lambda form: looped[0])
    view = Transcript(run.path)
    assert view.absent(1) == {}
    (reason,) = view.absent(2)["upload"].values()
    assert list(view.absent(2)["upload"]) == [1]
    assert "no key" in reason
    assert "started again" in reason
    assert torch.isfinite(view.server_logits(2)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        (lambda sealed: Payload({"sealed": sealed[:-1]}), "instead of uint8"),
        (lambda sealed: Payload({"sealed": sealed.float()}), "instead of uint8"),
        (lambda sealed: Payload({"logits": sealed}), "which nobody asked for"),
        (lambda sealed: Payload(), "sent no 'sealed'"),
    ],
)
def test_a_sealed_upload_of_another_form_is_absent(
    kind: str, spoiled: Callable[..., Payload], said: str, four_clients: Tiny, tmp_path: Path
) -> None:
    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        return spoiled(answer.tensors["sealed"]) if (action, client) == ("upload", 0) else answer

    config = deployment(summed(four_clients, kind, rounds=1), tmp_path)
    run = serve(config, lambda form: Loopback(config, spoil))
    assert said in Transcript(run.path).absent(1)["upload"][0]


def garbled(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
    if (action, client) != ("upload", 0):
        return answer
    noise = torch.randint(256, answer.tensors["sealed"].shape, generator=torch.Generator().manual_seed(0))
    return Payload({"sealed": noise.to(torch.uint8)})


def test_words_that_are_noise_end_the_federation_in_one_line(four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(summed(four_clients, "secure-sum"), tmp_path)
    with pytest.raises(TooFewClients, match="adds up to nothing: one of them has other keys") as why:
        serve(config, lambda form: Loopback(config, garbled))
    assert "\n" not in str(why.value)
    assert list(config.out.rglob("upload.safetensors")) == []  # no garbage is kept as a mean


@needs("tenseal")
def test_ciphertexts_that_are_none_are_absent(
    four_clients: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = deployment(summed(four_clients, "ckks", rounds=1), tmp_path)

    def lies(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        if (action, client) == ("sum_open", 2):
            return Payload({"mean": answer.tensors["mean"] + 1})
        return garbled(round, action, client, answer)

    with caplog.at_level(logging.WARNING):
        run = serve(config, lambda form: Loopback(config, lies))
    assert Transcript(run.path).absent(1)["upload"][0].startswith("sealed ")
    assert "client 2 decrypted other numbers than the rest" in caplog.text


@needs("tenseal")
def test_ciphertexts_of_another_key_end_the_federation_in_one_line(
    four_clients: Tiny, tmp_path: Path
) -> None:
    from logitleak.deploy.sums.encrypted_party import EncryptedParty
    from logitleak.deploy.sums.make import party_of
    from logitleak.stages.banks import scheme_of

    config = deployment(summed(four_clients, "ckks"), tmp_path)
    other = party_of(config.federation, scheme_of(config.federation), 0)
    assert isinstance(other, EncryptedParty)
    context = other._encryption.keys()

    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        if (action, client) != ("upload", 0):
            return answer
        chunks = len(answer.tensors["sealed"])
        size = values_of(config)
        sealed = other._encryption.encrypt(context, torch.zeros(size, dtype=torch.int64).numpy())
        assert len(sealed) == chunks
        return Payload({"sealed": torch.from_numpy(other._encryption.packed(sealed))})

    with pytest.raises(TooFewClients, match="no client decrypted it: failed: ") as why:
        serve(config, lambda form: Loopback(config, spoil))
    assert "\n" not in str(why.value)


def values_of(config: DeployConfig) -> int:
    facts = read_facts(config.server_data)
    return len(read_tensors(config.server_data / "public.safetensors")["images"]) * facts.num_classes


@pytest.mark.parametrize("participation", [1.0, 0.75])
@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_said_beforehand(
    kind: str, participation: float, four_clients: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where some are not drawn, everybody else sends as many words again to take their masks off."""
    values = summed(four_clients, kind, participation=participation)
    write_app(configs.parse(values), tmp_path, None, "127.0.0.1", 9092)
    config = deployment_of(tmp_path)
    with caplog.at_level(logging.INFO):
        run = serve(config, lambda form: Loopback(config))
    (size,) = set(Transcript(run.path).bytes_received(1).values()) - {0}
    said = f"each client sends {size:,} bytes for a sum"
    assert said in caplog.text
    guide = (tmp_path / "README.md").read_text()
    assert said in guide
    assert "## Sums" in guide
    assert verify(run.path).findings.lines() == []


def deployment_of(folder: Path) -> DeployConfig:
    """What is in a Flower app."""
    return parse(
        tomllib.loads((folder / "app" / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    )


def test_who_agreed_to_sums_shows_no_upload(four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(summed(four_clients, "secure-sum"), tmp_path)
    assert read_facts(config.client_data / "client-1").aggregation == "secure-sum"
    plain = parse({**flat(config), "aggregation": "plain"})
    with pytest.raises(UserError, match="was divided for sums by secure-sum, and this is plain") as why:
        Client(plain, config.client_data / "client-1", 1)
    assert "\n" not in str(why.value)
    shown = deployment(four_clients("fedmd"), tmp_path / "shown")
    assert '"aggregation"' not in (shown.client_data / "client-1" / "facts.json").read_text()
    Client(parse({**flat(shown), "aggregation": "secure-sum"}), shown.client_data / "client-1", 1)


def test_an_aggregator_of_ones_own_is_simulated_only(
    four_clients: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(Hiding):
        how = "Somehow."

        def nbytes(self, values: int) -> int:
            return values

        def seal(self, client: int, round: int, values: torch.Tensor) -> Sealed:
            return Sealed((), ())

        def mean(self, round: int, sealed: Any, absent: Any) -> torch.Tensor:
            return torch.zeros(1)

    config = of_run(configs.parse(summed(four_clients, "secure-sum")), tmp_path, tmp_path / "run")
    monkeypatch.setattr("logitleak.aggregation.secure_sum.SecureSum", Own)
    with pytest.raises(
        UserError, match="is simulated only; over Flower use federation.aggregation=secure-sum"
    ):
        flat(config)


@pytest.mark.parametrize("kind", KINDS)
def test_defenses_act_before_the_sum(kind: str, four_clients: Tiny, tmp_path: Path) -> None:
    """As in a simulation; and what a training defense remembers stands beside the keys."""
    values = summed(four_clients, kind) | {"defenses": ["temperature", {"name": "round", "clients": [1]}]}
    config = deployment(values, tmp_path)
    serve(config, lambda form: Loopback(config))
    logitleak.run(values, tmp_path / "simulated")
    assert_same_transcript(tmp_path / "run" / "wire", tmp_path / "simulated" / "wire")
    trained = deployment(values | {"defenses": [{"name": "nfdp", "clients": [2]}]}, tmp_path / "trained")
    spied = Spied(trained)
    serve(trained, lambda form: spied)
    assert {"trainer/0/order", "sum/private"} < spied._kept[2].keys()
