"""Federations whose server sees the mean of the uploads, from the configuration to the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from killed import Killed, kill_in_round_2
from test_resume import assert_same, everything

import logitleak
from logitleak import config as configs
from logitleak.attacks.views import SumView
from logitleak.capture.export import export
from logitleak.deploy.config import flat, of_run, parse
from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank
from logitleak.files.storage import read_tensors, write_tensors
from logitleak.stages.check import check
from logitleak.stages.footprint import footprint
from logitleak.stages.plan import plan
from logitleak.stages.simulation import Simulation
from logitleak.stages.verify import verify
from logitleak.wire.transcript import Transcript
from needs import needs

Tiny = Callable[..., dict[str, Any]]

KINDS = ["secure-sum", pytest.param("ckks", marks=needs("tenseal"))]  # fmt: skip


def values(
    tiny: Tiny, kind: str = "secure-sum", scheme: str = "fedmd", clients: int = 3, **more: Any
) -> dict[str, Any]:
    given = tiny(targets=4)
    given["federation"] |= {
        "scheme": scheme,
        "settings": {},
        "clients": clients,
        "aggregation": {"kind": kind},
    }
    return given | {"attacks": {}} | more


def uploads(run: Path, round: int) -> dict[str, torch.Tensor]:
    return read_tensors(run / "wire" / f"round-{round:02d}" / "upload.safetensors")


@pytest.mark.parametrize("scheme", ["fedmd", pytest.param("dsfl", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_runs_to_the_end_and_goes_on_alike(
    kind: str, scheme: str, tiny_config: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = values(tiny_config, kind, scheme)
    straight = logitleak.run(given, tmp_path / "straight")
    assert verify(straight.path).findings.errors == 0
    kill_in_round_2(given, tmp_path / "killed", monkeypatch)
    logitleak.run(given, tmp_path / "killed")
    if kind == "secure-sum":
        assert_same(straight.path, tmp_path / "killed")
    else:  # ciphertexts of the same may differ in size by a byte or two, and nothing else may
        one, other = everything(straight.path)[1], everything(tmp_path / "killed")[1]
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("scheme", ["fedmd", "dsfl"])
def test_the_mean_is_on_record_and_no_single_upload(scheme: str, tiny_config: Tiny, tmp_path: Path) -> None:
    """The mean is that of the same federation whose uploads are all seen; in the first round to the rounding of a
    step, before anything has been learnt from it."""
    hidden = logitleak.run(values(tiny_config, scheme=scheme), tmp_path / "hidden").path
    plain = logitleak.run(values(tiny_config, "plain", scheme), tmp_path / "plain").path
    tensor = "logits" if scheme == "fedmd" else "probabilities"
    assert set(uploads(hidden, 1)) == {f"mean/{tensor}"}
    for path in (hidden / "wire").rglob("*.safetensors"):
        assert not any(name.startswith("client-") for name in read_tensors(path))
    view, whole = Transcript(hidden), Transcript(plain)
    assert (view.clients, view.parties, whole.clients, whole.parties) == (1, 3, 3, 3)
    seen = SumView(whole).client_logits(0, 1)
    found = view.client_logits(0, 1)
    assert torch.equal(seen[0], found[0])
    if scheme == "fedmd":
        torch.testing.assert_close(found[1], seen[1], rtol=1e-6, atol=1e-6)
    else:
        torch.testing.assert_close(found[1].exp(), seen[1].exp(), rtol=1e-5, atol=1e-6)
    assert view.bytes_received(1) == whole.bytes_received(1)  # words of 32 bits, as float32 has


def test_what_is_said_and_measured_of_it(tiny_config: Tiny, tmp_path: Path) -> None:
    """In metrics, in the threat model, in the report, in what validation says, and in an audit."""
    given = values(tiny_config, attacks={"gap": {"tune": "none"}}, clients=2)
    given["game"] = {"design": "twins"}
    result = logitleak.run(given, tmp_path / "run")
    data, model = result.metrics["data"], result.metrics["threat_model"]
    assert (data["clients"], data["aggregation"], len(data["private"])) == (2, "secure-sum", 2)
    assert "The mean of all 2 clients' logits" in model["sees"][0]
    assert "Guarantee: none" in model["sees"][1]
    assert not any("ε" in line for line in model["sees"])
    for entry in result.metrics["attacks"].values():
        assert entry.get("owner_named") is None
        assert entry.get("client_ssim") is None
    assert len(result.metrics["federation"]["bytes"]) == 2 * 2
    page = result.report.read_text()
    assert "Would a secure sum help?" not in page
    assert "who is at which client?" not in page
    assert "masked or encrypted (secure-sum)" in page
    facts = verify(result.path / "worlds" / "0").facts
    assert any("aggregation secure-sum" in line for line in facts)
    assert any("K = 2 clients" in line for line in facts)
    found = logitleak.audit(result.path, fast=True).found
    assert found["data"]["clients"] == 2
    identity = next(one for one in found["audits"] if one["audit"] == "identity")
    assert [seen["onlooker"] for seen in identity["views"]] == ["server", "last round", "differences"]
    assert "nothing to subtract" in identity["views"][-1]["refused"]
    result_of_server = identity["views"][0]["variants"][0]
    assert result_of_server["game"]["pairs"]["trials"] > 0  # who is in anybody's data is asked,
    assert "clients" not in result_of_server  # and at whom is not
    with pytest.raises(UserError, match="holds means of uploads"):
        export(Transcript(result.path / "worlds" / "0"), tmp_path / "capture", "means")


def test_a_client_that_diverges_leaves_the_sum_and_is_on_record(
    tiny_config: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = values(tiny_config)
    given["federation"] |= {"minimum_clients": 2}
    spoil(monkeypatch, {1})
    run = logitleak.run(given, tmp_path / "run").path
    view = Transcript(run)
    assert view.absent(1)["upload"] == {1: "logits holds NaN or infinite values"}
    assert view.bytes_received(1)[1] == 0
    assert bool(torch.isfinite(view.client_values(0, 1)[1]).all())
    assert float(view.client_values(0, 1)[1].abs().max()) < 50  # masks that stay would be far beyond
    spoil(monkeypatch, {0, 1})
    with pytest.raises(
        UserError, match=r"1 of 3 clients answered upload in round 1 validly, and 2 are needed"
    ):
        logitleak.run(given | {"seed": 1}, tmp_path / "alone")


def spoil(monkeypatch: pytest.MonkeyPatch, clients: set[int]) -> None:
    """Have some clients' models answer with nothing that is a number."""
    predict = ModelBank.predict_each

    def spoilt(self: ModelBank, *args: Any, **kwargs: Any) -> Any:
        for member, logits in zip(self.members, predict(self, *args, **kwargs), strict=True):
            yield logits * torch.nan if member in clients else logits

    monkeypatch.setattr(ModelBank, "predict_each", spoilt)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"scheme": "fedgems"}, "needs single answers"),
        ({"scheme": "fedavg"}, "needs single answers"),
        ({"clients": 1}, "A sum of one client is its upload"),
        ({"aggregation": {"kind": "secure-sum", "settings": {"bit": 32}}}, 'no setting "bit"'),
        (
            {"aggregation": {"kind": "secure-sum", "settings": {"bits": 20}}},
            "bits",
        ),
        ({"aggregation": {"kind": "plain", "settings": {"bits": 16}}}, 'no setting "bits"'),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    changed: dict[str, Any], said: str, tiny_config: Tiny
) -> None:
    given = values(tiny_config)
    given["federation"] |= changed
    with pytest.raises(UserError, match=said) as why:
        check(configs.parse(given))
    assert "\n" not in str(why.value)


def test_candidates_and_comparisons_of_clients_are_refused(tiny_config: Tiny) -> None:
    with pytest.raises(UserError, match="leave out candidates"):
        check(configs.parse(values(tiny_config, candidates=10)))
    others = {"gap": {"tune": "none", "settings": {"reference": "others"}}}
    with pytest.raises(UserError, match='reference "others"'):
        check(configs.parse(values(tiny_config, attacks=others)))


@needs("tenseal")
def test_no_key_is_in_a_run_folder_and_a_pure_aggregator_has_nothing(
    tiny_config: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tenseal

    kept = Simulation._checkpoint

    def stopped(self: Simulation, round: int) -> None:
        kept(self, round)
        if round == 1:
            raise Killed

    given = values(tiny_config, "ckks")
    given["federation"]["aggregation"]["settings"] = {"server": "aggregator"}
    with monkeypatch.context() as patch:  # so that there is a checkpoint to look into
        patch.setattr(Simulation, "_checkpoint", stopped)
        with pytest.raises(Killed):
            logitleak.run(given, tmp_path / "run")
    assert any((tmp_path / "run" / "checkpoint").iterdir())
    looked_at = 0
    for again in (False, True):
        result = logitleak.run(given, tmp_path / "run") if again else None
        for path in (tmp_path / "run").rglob("*"):
            blobs = [path.read_bytes()] if path.is_file() else []
            if path.suffix == ".safetensors":
                blobs += [value.numpy().tobytes() for value in read_tensors(path).values()]
            for blob in blobs:
                looked_at += 1
                try:
                    context = tenseal.context_from(blob)
                except Exception:
                    continue
                assert not context.is_private()
    assert looked_at > 20
    assert result is not None
    model = result.metrics["threat_model"]
    assert model["adversary"].startswith("An honest-but-curious client")
    assert "nothing to attack" in model["adversary"]
    given["federation"]["scheme"] = "dsfl"
    with pytest.raises(UserError, match="learns from the mean"):
        check(configs.parse(given))


def test_sizes_are_said_beforehand(tiny_config: Tiny) -> None:
    found = check(configs.parse(values(tiny_config)))
    hidden, seen = (
        footprint(configs.parse(values(tiny_config)), found.scheme, found.sizes, h)
        for h in (found.hiding, None)
    )
    assert hidden["federation"] > seen["federation"]
    planned = plan(configs.parse(values(tiny_config)))
    assert planned.aggregation is not None
    assert any(f"{planned.aggregation.sent:,} bytes from each client" in line for line in planned.lines())
    assert plan(configs.parse(values(tiny_config, "plain"))).aggregation is None


def test_plain_is_what_it_was(tiny_config: Tiny, tmp_path: Path) -> None:
    """Not one byte of the transcript, of the configuration or of the hashes."""
    given = tiny_config() | {"attacks": ["ridge"]}
    without = logitleak.run(given, tmp_path / "a").path
    given["federation"]["aggregation"] = "plain"
    named = logitleak.run(given, tmp_path / "b").path
    assert_same(without, named)
    for name in ("config.yaml", "wire/manifest.json", "wire/round-02/upload.safetensors"):
        assert (without / name).read_bytes() == (named / name).read_bytes()
    assert "aggregation" not in (without / "config.yaml").read_text()
    plain = configs.parse({})
    assert (plain.hash(), plain.federation_hash()) == ("c60463bd98f66107", "9b3ce3ba190ea6f2")
    summed = configs.parse({"federation": {"clients": 2, "aggregation": "secure-sum"}})
    assert summed.federation_hash() != configs.parse({"federation": {"clients": 2}}).federation_hash()
    assert configs.parse(summed.model_dump(mode="json")) == summed


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"scheme": "fedgems"}, "needs single answers"),
        ({"clients": 1}, "is its upload"),
        (
            {"clients": 500, "aggregation": {"kind": "secure-sum", "settings": {"bits": 16}}},
            "raise federation",
        ),
    ],
)
def test_a_deployment_refuses_in_one_line(
    changed: dict[str, Any], said: str, tiny_config: Tiny, tmp_path: Path
) -> None:
    given = values(tiny_config)
    given["federation"] |= changed
    config = of_run(configs.parse(given), tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match=said) as why:
        flat(config)
    assert "\n" not in str(why.value)


@pytest.mark.parametrize("settings", [{}, {"bits": 48, "range": 2.5}])
def test_a_deployments_table_has_the_aggregator(
    settings: dict[str, Any], tiny_config: Tiny, tmp_path: Path
) -> None:
    given = values(tiny_config)
    given["federation"]["aggregation"]["settings"] = settings
    config = of_run(configs.parse(given), tmp_path, tmp_path / "out")
    table = flat(config)
    assert isinstance(table["aggregation"], str)
    assert parse(table) == config
    for wrong, said in (
        ("{", "must be a kind such as secure-sum"),
        ("secure-sun", 'Did you mean "secure-sum"'),
    ):
        with pytest.raises(UserError, match=said):
            parse(table | {"aggregation": wrong})


def test_a_strangers_transcript_of_means_is_checked(tiny_config: Tiny, tmp_path: Path) -> None:
    run = logitleak.run(values(tiny_config), tmp_path / "run").path
    file = run / "wire" / "round-01" / "upload.safetensors"
    tensors = read_tensors(file)
    mean = tensors["mean/logits"]
    write_tensors(file, tensors | {"client-0/logits": mean}, {"scalars": "{}"})
    with pytest.raises(UserError, match="is one upload, and the manifest knows of means only"):
        Transcript(run)
    write_tensors(file, {"mean/logits": mean[:-1]}, {"scalars": "{}"})
    with pytest.raises(UserError, match="the mean of the uploads has shape"):
        Transcript(run)
    for said in ('{"9": 1}', '{"0": -1}', '{"0": 1e999}', "[1]", "{"):
        write_tensors(file, tensors, {"scalars": "{}", "bytes": said})
        with pytest.raises(UserError, match="bytes"):
            Transcript(run).bytes_received(1)
    write_tensors(file, tensors, {"scalars": "{}"})
    assert Transcript(run).bytes_received(1) == {0: 0, 1: 0, 2: 0}
    manifest = run / "wire" / "manifest.json"
    said = json.loads(manifest.read_text())
    said["aggregation"] = {"kind": "\x1b[31munheard-of", "settings": {"x": 1}}
    manifest.write_text(json.dumps(said))
    facts = "".join(verify(run).facts)
    assert "\x1b" not in facts
    assert "unheard-of" in facts
