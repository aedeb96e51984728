"""A capture that is written round by round: whatever the process dies of, it is one of the rounds that were whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import logitleak
from logitleak import CaptureWriter, UserError
from logitleak.capture import writer
from logitleak.capture.description import read
from logitleak.capture.findings import Findings
from logitleak.capture.inspect import inspect
from logitleak.capture.targets import check_targets
from logitleak.stages.record import import_recorded
from logitleak.stages.verify import verify
from logitleak.wire.transcript import Transcript

N, J, SIDE = 12, 4, 16
IMAGES = np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8)
LABELS = np.arange(N) % J
SENSITIVE = LABELS > 0


def outputs(seed: int, rows: int = N) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(0, 3, (rows, J))


def begun(folder: Path, **arguments: Any) -> CaptureWriter:
    given: dict[str, Any] = {"labels": LABELS, "sensitive": SENSITIVE, "targets": [0]} | arguments
    return CaptureWriter(folder, J, given.pop("public", IMAGES), **given)


def imported(folder: Path, out: Path) -> Transcript:
    assert [str(f) for f in inspect(folder).findings.kept if f.level == "error"] == []
    return Transcript(import_recorded(folder, out).path)


def test_what_is_recorded_is_what_a_transcript_holds(tmp_path: Path) -> None:
    with begun(tmp_path / "capture") as record:
        for round in (1, 2):
            for client in (0, 1):
                record.upload(round, client, outputs(10 * round + client))
            record.server(round, outputs(10 * round + 9))
    view = imported(tmp_path / "capture", tmp_path / "run")
    assert (view.clients, view.rounds, view.knowledge.num_classes) == (2, 2, J)
    public = view.knowledge.public
    assert torch.equal(public.images, torch.from_numpy(IMAGES).permute(0, 3, 1, 2))
    assert public.labels is not None
    assert public.labels.tolist() == LABELS.tolist()
    assert public.sensitive.tolist() == SENSITIVE.tolist()
    assert view.knowledge.target_labels.tolist() == [0]
    expected = torch.from_numpy(outputs(21).astype(np.float32))
    assert torch.equal(view.client_logits(1, 2)[1], expected)
    assert torch.equal(view.server_logits(1), torch.from_numpy(outputs(19).astype(np.float32)))


def as_numpy(values: Any) -> Any:
    return values


def as_jax(values: Any) -> Any:
    """A stand-in: numpy reads jax's arrays by this method, and bfloat16 of either by its name."""

    class Foreign:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.asarray(values, dtype)

    return Foreign()


@pytest.mark.parametrize(
    "made",
    [as_numpy, as_jax, torch.from_numpy, lambda v: torch.from_numpy(v).requires_grad_(), np.ndarray.tolist],
)
def test_arrays_of_any_library(made: Callable[[Any], Any], tmp_path: Path) -> None:
    with begun(tmp_path / "capture") as record:
        record.upload(1, 0, made(outputs(1)))
    view = imported(tmp_path / "capture", tmp_path / "run")
    assert torch.equal(view.client_logits(0, 1)[1], torch.from_numpy(outputs(1).astype(np.float32)))


def test_bfloat16(tmp_path: Path) -> None:
    with begun(tmp_path / "capture") as record:
        record.upload(1, 0, torch.from_numpy(outputs(1)).to(torch.bfloat16))
    found = imported(tmp_path / "capture", tmp_path / "run").client_logits(0, 1)[1]
    torch.testing.assert_close(found, torch.from_numpy(outputs(1)).to(torch.bfloat16).float())


def test_some_rows_absent_clients_and_names(tmp_path: Path) -> None:
    with begun(tmp_path / "capture") as record:
        record.upload(3, "north", outputs(1, 3), rows=[7, 0, 2])
        record.upload(5, "north", outputs(2))
        record.upload(5, "south", outputs(3))
        record.upload(9, "south", outputs(4))
    view = imported(tmp_path / "capture", tmp_path / "run")
    assert (view.clients, view.rounds) == (2, 3)
    rows, values = view.client_logits(0, 1)
    assert values[rows.argsort()].shape == (3, J)
    assert sorted(rows.tolist()) == [0, 2, 7]
    assert len(view.client_logits(1, 1)[0]) == 0
    assert record.whole == [3, 5, 9]


@pytest.mark.parametrize(
    ("public", "expected"),
    [
        (IMAGES[..., 0], IMAGES[..., :1].repeat(3, -1)),
        (IMAGES[..., :1], IMAGES[..., :1].repeat(3, -1)),
        (IMAGES.transpose(0, 3, 1, 2), IMAGES),
        (torch.from_numpy(IMAGES), IMAGES),
        (IMAGES / 255.0, IMAGES),
        ((IMAGES / 255.0).astype(np.float32), IMAGES),
    ],
)
def test_images_of_any_shape(public: Any, expected: Any, tmp_path: Path) -> None:
    with begun(tmp_path / "capture", public=public) as record:
        record.upload(1, 0, outputs(1))
    found = imported(tmp_path / "capture", tmp_path / "run").knowledge.public.images
    assert torch.equal(found, torch.from_numpy(expected).permute(0, 3, 1, 2))


@pytest.mark.parametrize("shape", [(8, 8), (20, 30)])
def test_images_that_are_no_squares_or_too_small_are_resized(shape: tuple[int, int], tmp_path: Path) -> None:
    with begun(tmp_path / "capture", public=np.zeros((N, *shape), np.uint8)) as record:
        record.upload(1, 0, outputs(1))
    assert (
        imported(tmp_path / "capture", tmp_path / "run").knowledge.public.image_size
        == (max(11, min(shape)),) * 2
    )


def test_a_public_set_without_images(tmp_path: Path) -> None:
    with begun(tmp_path / "capture", public=N) as record:
        record.upload(1, 0, outputs(1))
        record.server(1, outputs(2))
    assert any("no images" in str(finding) for finding in verify(tmp_path / "capture").findings.kept)
    view = imported(tmp_path / "capture", tmp_path / "run")
    assert view.knowledge.public.labels is not None
    assert len(view.knowledge.public) == N
    assert torch.equal(view.client_logits(0, 1)[1], torch.from_numpy(outputs(1).astype(np.float32)))
    for attack in ("ridge", "gap", "tbi"):
        with pytest.raises(
            UserError, match="This public set holds no images, and a reconstruction needs them"
        ):
            logitleak.attack(tmp_path / "run", attack)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (outputs(1)[:, :3], r"have shape \[12, 3\]; \[up to 12, 4\] is needed"),
        (outputs(1)[0], r"have shape \[4\]"),
        (outputs(1, N + 1), r"have shape \[13, 4\]"),
        (outputs(1, 5), "are 5 rows of 12; give rows"),
        (np.zeros((N, J), int), "of type int64; floats are needed"),
        (outputs(1) * np.nan, "hold NaN, infinite values"),
        (outputs(1) * 1e300, "hold NaN, infinite values"),
        (np.full((N, J), 0.25), "holds probabilities where logits are due"),
        ([["a"] * J] * N, "numbers are needed"),
        ([[1.0], [1.0, 2.0]], "are no array"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_is_given(values: Any, said: str, tmp_path: Path) -> None:
    record = begun(tmp_path / "capture")
    with pytest.raises(UserError, match=f"Outputs of client 0 in round 1.* {said}"):
        record.upload(1, 0, values)
    assert not (tmp_path / "capture/logits").exists()
    record.upload(1, 0, outputs(1))  # the next try counts
    record.close()
    imported(tmp_path / "capture", tmp_path / "run")


def test_slips(tmp_path: Path) -> None:
    record = begun(tmp_path / "capture", kind="probabilities")
    with pytest.raises(UserError, match="holds no probabilities"):
        record.upload(1, 0, outputs(1))
    shares = np.full((N, J), 0.25)
    record.upload(1, 0, shares)
    with pytest.raises(UserError, match="Client 0 has sent its outputs of round 1 already"):
        record.upload(1, 0, shares)
    with pytest.raises(UserError, match="names row 5 twice"):
        record.upload(1, 1, shares[:2], rows=[5, 5])
    with pytest.raises(UserError, match="names row 12, and public rows are 0 to 11"):
        record.upload(1, 1, shares[:1], rows=[N])
    with pytest.raises(UserError, match=r"integers \[2\] are needed"):
        record.upload(1, 1, shares[:2], rows=[1])
    with pytest.raises(UserError, match="must be all 12"):
        record.server(1, outputs(1, 3))
    with pytest.raises(UserError, match="A round is a whole number"):
        record.upload(-1, 0, shares)
    with pytest.raises(UserError, match="name of letters and digits"):
        record.upload(1, "../x", shares)
    record.upload(2, 0, shares)
    with pytest.raises(UserError, match="Round 1 is over"):
        record.upload(1, 1, shares)
    with pytest.raises(
        UserError, match="Round 1 has no outputs of the server's own, so round 2 can have none"
    ):
        record.server(2, outputs(2))
    with pytest.raises(UserError, match="name of letters and digits"):
        record.upload(2, True, shares)
    with pytest.raises(UserError, match="A round is a whole number"):
        record.upload(True, 1, shares)
    record.close()
    assert record.whole == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"labels": [0, 1]}, "labels must be 12 whole numbers"),
        ({"labels": LABELS + 1}, "labels go up to 4, and there are 4 classes"),
        ({"sensitive": LABELS}, "sensitive must be 12 truth values"),
        ({"public": np.zeros((N, 2, 5, 5))}, r"and these are \[12, 2, 5, 5\]"),
        ({"public": IMAGES.astype(np.float64)}, r"floats must be in \[0, 1\]"),
        ({"public": IMAGES.astype(np.int64)}, "not of int64"),
        ({"title": ""}, '"title"'),
        ({"targets": []}, '"targets"'),
        ({"kind": "logit"}, '"uploads.kind"'),
        ({"targets": [1.5]}, "A target is a whole number, not 1.5"),
        ({"targets": ["a"]}, "A target is a whole number, not 'a'"),
        ({"targets": "0"}, "targets are a list of whole numbers"),
        ({"targets": 3}, "targets are a list of whole numbers"),
        ({"targets": [0, 0]}, "targets: a target is named twice"),
        ({"targets": [J]}, "targets: 4 is out of range"),
        ({"defenses": ["round"]}, '"defenses.0": Input should be a valid dict'),
        ({"defenses": "round"}, '"defenses": Input should be a valid list'),
        ({"defenses": [{"name": "gaussian", "settings": {"sigma": -2}}]}, "defenses.0: .*sigma"),
        ({"defenses": [{"name": "round", "settings": {"digit": 1}}]}, "defenses.0: .*digit"),
        ({"defenses": [{"name": "x", "settings": {"a": object()}}]}, "defenses.0.settings.a is <object"),
        ({"defenses": [{"name": "x", "settings": {"a": {1, 2}}}]}, "defenses.0.settings.a is {1, 2}"),
        ({"private": "x"}, '"private"'),
        ({"private": {"images": "private", "owners": {"3": 0}}}, "private.owners: 3: no target is called"),
        ({"private": {"images": "private", "owners": [0]}}, '"private.owners"'),
        ({"private": {"images": "private", "game": {"in": [0], "out": [0]}}}, "is both in and out"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said) as caught:
        begun(tmp_path / "capture", **arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "capture").exists()


def test_settings_of_numpy_and_what_is_there_twice(tmp_path: Path) -> None:
    """YAML knows no numbers of numpy, and an import reads no aliases."""
    shared = {"sigma": np.float64(2.0), "clip": np.int64(3)}
    told = [
        {"name": "gaussian", "settings": shared},
        {"name": np.str_("own"), "settings": {"of": (shared, shared)}},
    ]
    for resume in (False, True):
        with begun(tmp_path / "capture", defenses=told, resume=resume) as record:
            for round in (3, 4) if resume else (1, 2):
                record.upload(round, 0, outputs(round))
    first, second = imported(tmp_path / "capture", tmp_path / "run").manifest.defenses
    assert (first.settings["sigma"], first.settings["clip"]) == (2.0, 3.0)
    assert second.settings == {"of": [{"sigma": 2.0, "clip": 3}] * 2}


def test_a_round_is_whole_when_the_description_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = begun(tmp_path / "capture")
    record.upload(1, 0, outputs(1))

    def full(path: Path, text: str) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_text", full)
        with pytest.raises(OSError, match="no space left"):
            record.upload(2, 0, outputs(2))
    assert record.whole == []
    record.upload(2, 0, outputs(2))  # and what was recorded of round 1 is not lost
    record.close()
    assert record.whole == [1, 2]
    assert imported(tmp_path / "capture", tmp_path / "run").rounds == 2


def test_an_owner_that_never_answered_is_a_client(tmp_path: Path) -> None:
    """So that its name is known in "private.owners"."""
    private = {"images": "private", "owners": {"0": "north"}}
    with begun(tmp_path / "capture", private=private) as record:
        record.upload(1, "south", outputs(1))
    findings = Findings()
    description = read(tmp_path / "capture", findings)
    assert description is not None
    assert description.client_names == ["north", "south"]
    check_targets(description, findings)
    assert findings.kept == []
    assert begun(tmp_path / "capture", private=private, resume=True).whole == [1]


def test_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="not empty"):
        begun(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "precious"


@pytest.mark.slow
def test_killed_and_gone_on(tmp_path: Path) -> None:
    """The third round is half written when the process is killed: two rounds are a valid capture, and it goes on."""
    script = """
import os, sys
sys.path.insert(0, sys.argv[2])
from test_capture_writer import begun, outputs
record = begun(sys.argv[1])
for round in (1, 2, 3):
    record.upload(round, 0, outputs(round))
    if round == 3:
        os._exit(9)
    record.server(round, outputs(100 + round))
"""
    place = tmp_path / "capture"
    killed = subprocess.run(
        [sys.executable, "-c", script, str(place), str(Path(__file__).parent)], check=False
    )
    assert killed.returncode == 9
    assert imported(place, tmp_path / "before").rounds == 2
    with pytest.raises(UserError, match="other arguments"):
        begun(place, resume=True, title="another")
    with begun(place, resume=True) as record:
        assert record.whole == [1, 2]
        with pytest.raises(UserError, match="Round 2 is over"):
            record.upload(2, 0, outputs(2))
        for round in (3, 4):
            record.upload(round, 0, outputs(round))
            record.server(round, outputs(100 + round))
    after = imported(place, tmp_path / "after")
    assert after.rounds == 4
    assert torch.equal(after.client_logits(0, 3)[1], torch.from_numpy(outputs(3).astype(np.float32)))


def test_an_error_in_the_loop_keeps_the_rounds_before(tmp_path: Path) -> None:
    def loop() -> None:
        with begun(tmp_path / "capture") as record:
            record.upload(1, 0, outputs(1))
            record.upload(2, 0, outputs(2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop()
    assert imported(tmp_path / "capture", tmp_path / "run").rounds == 1


def test_a_round_in_which_nobody_answered_is_none(tmp_path: Path) -> None:
    with begun(tmp_path / "capture") as record:
        record.server(1, outputs(1))
        record.upload(2, 0, outputs(2))
        record.server(2, outputs(3))
    assert record.whole == [2]
    assert imported(tmp_path / "capture", tmp_path / "run").rounds == 1


def test_a_round_whose_server_outputs_were_forgotten_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is given next is not at fault, and is recorded."""
    record = begun(tmp_path / "capture")
    for round in (1, 2, 3):
        for client in (0, 1):
            record.upload(round, client, outputs(10 * round + client))
        if round != 2:
            record.server(round, outputs(round))
    assert "round 2 has none; it is left out of the capture" in caplog.text
    record.upload(4, 0, outputs(40))
    with pytest.raises(
        UserError, match="round 4 has none; record them and close again, or the capture lacks"
    ):
        record.close()
    assert record.whole == [1, 3]
    record.server(4, outputs(4))
    record.close()
    assert record.whole == [1, 3, 4]
    assert not (tmp_path / "capture/logits/round-2").exists()
    view = imported(tmp_path / "capture", tmp_path / "run")
    assert torch.equal(view.client_logits(0, 2)[1], torch.from_numpy(outputs(30).astype(np.float32)))


def test_whole_numbers_of_numpy(tmp_path: Path) -> None:
    arguments = {"labels": LABELS, "targets": np.array([0])}
    with CaptureWriter(tmp_path / "capture", np.int32(J), np.int64(N), **arguments) as record:  # type: ignore[arg-type]
        for round in np.arange(1, 3):
            record.upload(round, np.int64(0), outputs(int(round)))
            record.server(round, outputs(9))
    view = imported(tmp_path / "capture", tmp_path / "run")
    assert (view.clients, view.rounds, len(view.knowledge.public)) == (1, 2, N)
    for classes in (True, 2.0):
        with pytest.raises(UserError, match="classes is a whole number, not"):
            CaptureWriter(tmp_path / "other", classes, N)  # type: ignore[arg-type]


def one_round(folder: Path, **arguments: Any) -> Path:
    with begun(folder, **arguments) as record:
        record.upload(1, 0, outputs(1))
    return folder


@pytest.mark.parametrize(
    "other",
    [
        {"public": IMAGES[::-1]},
        {
            "public": np.concatenate([IMAGES, IMAGES[:1]]),
            "labels": [*LABELS, 0],
            "sensitive": [*SENSITIVE, False],
        },
        {"labels": LABELS[::-1]},
        {"sensitive": ~SENSITIVE},
    ],
)
def test_another_public_set_is_not_gone_on_with(other: dict[str, Any], tmp_path: Path) -> None:
    place = one_round(tmp_path / "capture")
    with pytest.raises(UserError, match="begun with another public set"):
        begun(place, resume=True, **other)
    assert begun(place, resume=True).whole == [1]


def test_a_public_image_that_was_damaged_is_not_gone_on_with(tmp_path: Path) -> None:
    place = one_round(tmp_path / "capture")
    image = place / "public/000003.png"
    image.write_bytes(image.read_bytes()[:40])
    with pytest.raises(UserError, match="cannot be read") as caught:
        begun(place, resume=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["format: [1", "- 1", "", "format: 1\nformat: 1", "format: 1", "\0", "a: &b 1\nc: *b"]
)
def test_a_broken_description_is_said_in_one_line(text: str, tmp_path: Path) -> None:
    place = one_round(tmp_path / "capture")
    (place / "capture.yaml").write_text(text)
    with pytest.raises(UserError, match="capture.yaml: .* Mend it, or choose another folder") as caught:
        begun(place, resume=True)
    assert "\n" not in str(caught.value)


def test_outputs_of_the_server_that_are_elsewhere_are_not_gone_on_with(tmp_path: Path) -> None:
    place = one_round(tmp_path / "capture")
    with (place / "capture.yaml").open("a") as file:
        file.write("server: {files: 'own/{round}.npz'}\n")
    with pytest.raises(UserError, match="other arguments"):
        begun(place, resume=True)


@pytest.mark.parametrize(
    "half", [".capture.yaml", ".public.csv", "public/.000003.png", "logits/round-1/.client-0.npz"]
)
@pytest.mark.parametrize("whole", [False, True])
def test_half_a_file_that_a_killed_process_left_is_no_hindrance(
    whole: bool, half: str, tmp_path: Path
) -> None:
    place = tmp_path / "capture"
    record = begun(place)
    record.upload(1, 0, outputs(1))
    if whole:
        record.close()
    left = place / f"{half}.999999999.partial"  # no process has such a number
    left.write_text("half")
    if half == ".public.csv" and not whole:
        (place / "public.csv").unlink()
    with begun(place, resume=True) as again:
        assert again.whole == ([1] if whole else [])
        again.upload(2, 0, outputs(2))
    assert not left.exists()
    assert imported(place, tmp_path / "run").rounds == (2 if whole else 1)
