"""The audit of captures: of tables without images, and of games whose owners nobody names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import logitleak
from logitleak import CaptureWriter
from logitleak.capture.inspect import inspect
from logitleak.report import audit_findings
from logitleak.stages.record import import_recorded
from logitleak.stages.run import write_report

CLIENTS, CLASSES, ROWS = 4, 40, 80
OWNERS = np.arange(CLASSES) % CLIENTS
TAKING_PART = np.arange(CLASSES) // CLIENTS % 2 == 0
"""Half of the classes of every client."""


def recorded(folder: Path, owners: bool = True, game: bool = True, strength: float = 3.0) -> Path:
    """The run of a capture without images: whoever holds a class says more of it."""
    rng, labels = np.random.default_rng(0), np.arange(ROWS) % CLASSES
    private: dict[str, Any] = {}
    if owners:
        private["owners"] = {str(label): int(OWNERS[label]) for label in range(CLASSES)}
    if game:
        sides = {"in": TAKING_PART, "out": ~TAKING_PART}
        private["game"] = {side: np.flatnonzero(who).tolist() for side, who in sides.items()} | {"share": 0.5}
    with CaptureWriter(
        folder / "capture", CLASSES, ROWS, labels=labels, private=private, noun="class", synthetic=True
    ) as record:
        for client in range(CLIENTS):
            said = 3 * np.eye(CLASSES)[labels] + rng.normal(size=(ROWS, CLASSES))
            said[:, (client == OWNERS) & (TAKING_PART | (not game))] += strength
            record.upload(1, client, said)
        record.server(1, 3 * np.eye(CLASSES)[labels] + rng.normal(size=(ROWS, CLASSES)))
    return import_recorded(folder / "capture", folder / "run").path


def audited(run: Path) -> dict[str, Any]:
    logitleak.audit(run, fast=True)
    return {one["audit"]: one for one in json.loads((run / "audit.json").read_text())["audits"]}


def test_how_much_clients_hold_is_not_judged_where_nobody_counted(tmp_path: Path) -> None:
    """A capture without images says who holds a class, not how many rows of it."""
    run = recorded(tmp_path)
    for result in audited(run)["shares"]["views"][0]["variants"]:
        assert set(result["shares"]["mean"].values()) == {None}
        assert result["shares"]["clients"] == []
    shares = next(one for one in audit_findings(run) if one.audit == "shares")
    assert (shares.grade, shares.value) == ("unknown", None)
    assert "total variation" not in shares.sentence
    assert "Whether a class is at a client at all: area 1.000" in shares.sentence
    assert shares.sentence in (run / "audit.html").read_text()


def test_no_advice_that_would_not_help(tmp_path: Path) -> None:
    """A capture cannot be simulated again; nor do candidates help a run in which nothing was held out."""
    run = recorded(tmp_path)
    audited(run)
    page = (run / "audit.html").read_text()
    assert "candidates=200" not in page
    assert "no: left out by --fast" in page


def test_a_game_whose_owners_nobody_names_is_judged_by_the_highest_score(tmp_path: Path) -> None:
    """That a class is at somebody is seen by everybody who looks, in whichever half of a sum it is."""
    identity = audited(recorded(tmp_path, owners=False))["identity"]
    for seen in identity["views"]:
        if seen["refused"]:
            assert "nothing to subtract" in seen["refused"]
            continue
        result = seen["variants"][0]
        assert result["game"]["area"]["low"] > 0.7, seen["onlooker"]
        assert (result["game"]["area"]["positives"], result["game"]["area"]["negatives"]) == (20, 20)
        assert "clients" not in result
        assert seen["onlooker"] != "server" or result["epsilon"]["right"] == 20
    sentence = next(one.sentence for one in audit_findings(tmp_path / "run") if one.audit == "identity")
    assert "at which client" not in sentence  # nobody knows
    assert sentence.startswith("The uploads tell which classes took part")
    scores = np.load(tmp_path / "run" / "audit" / "scores.npz")
    halves = [scores[f"identity/sum, half colluding/all rounds/0/{group}"][0] for group in (0, 1)]
    units = next(one for one in identity["views"] if one["onlooker"] == "sum, half colluding")
    for unit in units["variants"][0]["game"]["per_unit"]:
        told = unit["in"] if unit["in"] is not None else unit["out"]
        assert told == pytest.approx(max(half[unit["place"]] for half in halves), rel=1e-5)


def test_a_client_that_is_away_once_is_told_from_sums_alone(tmp_path: Path) -> None:
    """Client 2 sends nothing in the second of three rounds; the others are asked about in no difference."""
    rng, labels = np.random.default_rng(0), np.arange(ROWS) % CLASSES
    owners = {str(label): int(OWNERS[label]) for label in range(CLASSES)}
    sides = {"in": np.flatnonzero(TAKING_PART).tolist(), "out": np.flatnonzero(~TAKING_PART).tolist()}
    private = {"owners": owners, "game": sides | {"share": 0.5}}
    with CaptureWriter(
        tmp_path / "capture", CLASSES, ROWS, labels=labels, private=private, noun="class", synthetic=True
    ) as record:
        said = 3 * np.eye(CLASSES)[labels] + rng.normal(size=(CLIENTS, ROWS, CLASSES))
        for client in range(CLIENTS):
            said[client][:, (client == OWNERS) & TAKING_PART] += 3.0
        for round in (1, 2, 3):
            for client in range(CLIENTS):
                if (client, round) != (2, 2):
                    record.upload(round, client, said[client] + 0.1 * rng.normal(size=(ROWS, CLASSES)))
    views = audited(import_recorded(tmp_path / "capture", tmp_path / "run").path)["identity"]["views"]
    seen = next(one for one in views if one["onlooker"] == "sums, differences")
    found = seen["variants"][0]
    assert found["game"]["area"] | {"low": 0, "high": 0} == {
        "value": 1.0, "low": 0, "high": 0, "positives": 5, "negatives": 5,
    }  # fmt: skip
    heard = [unit["place"] for unit in found["game"]["per_unit"] if (unit["in"] or unit["out"]) is not None]
    assert set(heard) == set(np.flatnonzero(OWNERS == 2).tolist())


def test_where_nobody_is_ever_away_there_is_nothing_to_subtract(tmp_path: Path) -> None:
    run = recorded(tmp_path)
    seen = next(one for one in audited(run)["identity"]["views"] if one["onlooker"] == "sums, differences")
    assert (
        seen["refused"] == "The sums of all rounds are of the same clients, so there is nothing to subtract."
    )
    assert seen["refused"] in (run / "audit.html").read_text()


def test_the_report_of_a_capture_without_images_says_who_is_where(tmp_path: Path) -> None:
    """There is no likeness to judge anything by; what the uploads say of clients needs none."""
    run = recorded(tmp_path)
    page = write_report(run).report.read_text()
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["attacks"] == {}
    assert metrics["data"]["chance"] is None
    assert metrics["identity"]["clients"]["area"]["low"] > 0.8
    assert metrics["identity"]["game"]["area"]["low"] > 0.7
    assert "The uploads tell at which client which classes are" in page
    assert "The uploads tell which classes took part" in page
    assert "No attack was run" in page
    assert "the truth is not in this run" not in page
    assert not (run / "gallery.safetensors").exists()
    threat = metrics["threat_model"]
    assert threat["sees"][0].startswith("Each client's logits on the public rows")
    assert threat["knows"][0].startswith("The public set: 80 labelled rows")
    assert "Public rows" in page
    assert "0 × 0" not in page


@pytest.mark.parametrize(("clients", "gap"), [(1, False), (2, True)])
def test_what_can_be_done_without_the_server(tmp_path: Path, clients: int, gap: bool) -> None:
    """Without images nothing is attacked; with them several clients are each other's reference."""
    public = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), dtype=np.uint8)
    for name, given in (("images", public), ("rows", 8)):
        with CaptureWriter(tmp_path / name, 4, given, labels=np.arange(8) % 4) as record:
            for client in range(clients):
                record.upload(1, client, np.random.default_rng(client).normal(size=(8, 4)))
    found = {name: inspect(tmp_path / name).findings.kept for name in ("images", "rows")}
    said = {name: next(one.what for one in each if one.where == "server") for name, each in found.items()}
    assert ("tbi, gap, and ridge" in said["images"]) == gap
    assert "attacks" not in said["rows"]
