"""Whatever a scheme asks, in whatever order: what was written is what is read, or the message is refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from logitleak.errors import UserError
from logitleak.files.storage import read_tensors
from logitleak.types import Event, Payload, PublicData
from logitleak.wire.writer import Manifest, TranscriptWriter, Uploads, round_folder

PUBLIC = PublicData(
    torch.zeros(2, 3, 16, 16, dtype=torch.uint8), torch.tensor([0, 1]), torch.tensor([True, False])
)
MANIFEST = Manifest(
    format=1, scheme="fedmd", clients=1, rounds=120, num_classes=2, target_labels=[0],
    uploads=Uploads(action="upload", tensor="logits", kind="logits"),
)  # fmt: skip

ACTIONS = ("upload", "digest", "own", "../digest", "own logits")
Step = tuple[int, str]
STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from((*ACTIONS, "write_own", "commit"))), max_size=20
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_any_order_of_actions(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "wire"
        writer = TranscriptWriter(folder, MANIFEST, PUBLIC)
        written: dict[Step, int] = {}
        whole: set[int] = set()
        for number, (round, what) in enumerate(steps):
            value = torch.tensor([number])
            if what == "commit":
                if round not in whole and any(t == round for t, _ in written):
                    writer.commit(round)
                    whole.add(round)
                continue
            file = "own" if what == "write_own" else what
            free = (what == "write_own" or what in ("upload", "digest")) and (round, file) not in written
            try:
                if what == "write_own":
                    writer.write_own(round, value)
                else:
                    writer.write(Event(round, what, Payload(), {0: Payload({"logits": value})}))
            except UserError:
                assert not free or round in whole
            else:
                assert free
                assert round not in whole
                written[round, file] = number
        for (round, file), number in written.items():
            home = round_folder(folder, round) if round in whole else writer._partial(round)
            (value,) = read_tensors(home / f"{file}.safetensors").values()
            assert value.tolist() == [number]
        assert len(list(folder.rglob("*.safetensors"))) == len(written) + 1  # and the public set
        assert not [path for path in folder.parent.iterdir() if path != folder]


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, 120), min_size=2, max_size=2), st.integers(0, 120))
def test_rounds_are_numbers(rounds: set[int], last: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        writer = TranscriptWriter(Path(name), MANIFEST, PUBLIC)
        for round in rounds:
            writer.write_own(round, torch.zeros(2, 2))
            writer.commit(round)
        writer.rewind(last)
        left = {int(path.name.removeprefix("round-")) for path in Path(name).glob("round-*")}
        assert left == {round for round in rounds if round <= last}


def test_a_refused_message_changes_nothing(tmp_path: Path) -> None:
    writer = TranscriptWriter(tmp_path, MANIFEST, PUBLIC)
    first = Event(1, "upload", Payload(), {0: Payload({"logits": torch.ones(2)})})
    writer.write(first)
    with pytest.raises(UserError, match='"upload" comes twice in round 1'):
        writer.write(Event(1, "upload", Payload(), {0: Payload({"logits": torch.zeros(2)})}))
    writer.commit(1)
    with pytest.raises(UserError, match="round 1, which is whole"):
        writer.write(Event(1, "digest", first.received[0], {}))
    assert read_tensors(tmp_path / "round-01/upload.safetensors")["client-0/logits"].tolist() == [1, 1]
