"""Recording a federation from its own server loop: a capture that grows as the rounds go by."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import yaml

from logitleak.capture.facts import check_facts, check_form, given_targets, owners_of, plain
from logitleak.capture.given import given_outputs, given_rows
from logitleak.capture.parts import CLIENT
from logitleak.capture.public import public_table, write_public
from logitleak.capture.resume import left_behind
from logitleak.errors import UserError
from logitleak.files.atomic import restore, write_atomic
from logitleak.files.given import Array, is_whole, pixels, whole_number
from logitleak.files.storage import write_text

_UPLOADS = "logits/round-{round}/client-{client}.npz"
_SERVER = "logits/round-{round}/server.npz"
_SERVER_FACTS = {"files": _SERVER, "values": "values"}

log = logging.getLogger(__name__)


class CaptureWriter:
    """Writes a capture (docs/capture.md) while a federation runs.

    >>> with CaptureWriter("capture", classes=10, public=images, labels=labels) as record:
    ...     for round in range(1, rounds + 1):
    ...         for client, logits in answers(round):
    ...             record.upload(round, client, logits)
    ...         record.server(round, own_logits)

    Arrays may be of torch, numpy, jax or anything that numpy can read. A wrong one is refused where it is given, before
    anything of it is written. A round is whole when one of a later round is given, or at `close`; whatever the process
    dies of, the folder is a valid capture of the rounds that were whole by then.

    Args:
        folder: where the capture goes; it must be empty or not there, unless ``resume`` is set.
        classes: J, the columns of all outputs.
        public: the public images, in the order of the rows of all outputs: uint8 or floats in [0, 1], [N, H, W],
            [N, H, W, 3], [N, H, W, 1] or [N, 3, H, W]; or N alone, where the public set is no images.
        labels: int [N], what each public row shows; None where nobody knows.
        sensitive: bool [N], which public images are of the private domain and not of targets (D_0); None for all.
        labelled: whether the server knows the labels (FedMD); false keeps them for scoring (DS-FL).
        targets: the classes whose images are private; by default all.
        kind: "logits", or "probabilities" (softmax outputs).
        title, scheme: what the report calls the data and the scheme.
        noun: what one class stands for: person, class, product.
        defenses: what clients do before they send, as "defenses" of a capture.yaml: names, settings, whose.
        private: what only those know who own the data, as "private" of a capture.yaml: owners, and a game; nothing can
            be judged without it, and no attack sees it.
        synthetic: whether the images are made up; None leaves it unsaid.
        image_size: the side that an import crops and resizes images to; None for their own where it can be kept.
        resume: go on with a capture that an earlier process began with the same arguments, after its last whole round.

    Raises:
        UserError: an argument does not fit, or the folder is not empty.
    """

    def __init__(
        self,
        folder: Path | str,
        classes: int,
        public: Any,
        *,
        labels: Any = None,
        sensitive: Any = None,
        labelled: bool = True,
        targets: Sequence[int] | None = None,
        kind: Literal["logits", "probabilities"] = "logits",
        title: str = "a recorded federation",
        scheme: str = "fedmd",
        noun: str = "person",
        defenses: Sequence[Mapping[str, Any]] = (),
        private: Mapping[str, Any] | None = None,
        synthetic: bool | None = None,
        image_size: int | None = None,
        resume: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.classes = whole_number(classes, "classes")
        images = None if is_whole(public) else pixels(public, "public")
        self.rows = int(public) if images is None else len(images)
        self._clients: dict[int, list[str]] = {}  # by whole or open round
        self._own: set[int] = set()  # rounds with outputs of the server
        self._whole: list[int] = []
        self._open: int | None = None
        table = public_table(
            self.rows, labels, sensitive, most=self.classes if labelled else None, files=images is not None
        )
        if image_size is not None:
            image_size = whole_number(image_size, "image_size")
        elif images is not None:
            image_size = _side(*images.shape[1:3])
        facts = {
            "format": 1, "title": title, "scheme": scheme, "synthetic": synthetic, "noun": noun,
            "classes": self.classes,
            "targets": list(range(self.classes)) if targets is None else given_targets(targets),
            "uploads": {"kind": kind, "files": _UPLOADS, "values": "values"},
            "public": {
                **({"rows": self.rows} if images is None else {"images": "public", "order": "table"}),
                **({} if table is None else {"table": "public.csv"}),
                **({} if image_size is None or images is None else {"image_size": image_size}),
                "labelled": labelled and labels is not None,
            },
            "defenses": defenses, "private": private,
        }  # fmt: skip
        self._facts: dict[str, Any] = {name: plain(value, name) for name, value in facts.items()}
        for name in ("defenses", "private"):
            if self._facts[name] in ([], None):
                del self._facts[name]
        check_facts(self._describe([1], {1: ["0"]}, {1}))  # what is wrong is said before anything is written
        self._open_folder(resume, images, table)
        if not self._whole:
            write_public(self.folder, images, table)

    def __enter__(self) -> CaptureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    @property
    def whole(self) -> list[int]:
        """The rounds that are whole so far."""
        return list(self._whole)

    def upload(self, round: int, client: int | str, values: Any, rows: Any = None) -> None:
        """Record what a client sent. A round before it that lacks the outputs of the server's own, which earlier ones
        have, is left out of the capture with a warning.

        Args:
            round: of this round or a later one than all before; from 0.
            client: its number from 0, or its name, as everywhere in this capture.
            values: float [n, J], its outputs.
            rows: int [n], the public rows that they are for; None for all N, in order.

        Raises:
            UserError: a value does not fit, the client has sent already, or the round is over. Nothing is written.
        """
        name = str(client)
        if isinstance(client, bool | np.bool_) or not re.fullmatch(CLIENT, name):
            raise UserError(
                f"A client is called by a number, or by a name of letters and digits, not {name!r:.60}."
            )
        round = self._begin(round)
        if name in self._clients.get(round, []):
            raise UserError(f"Client {name} has sent its outputs of round {round} already.")
        found = given_outputs(
            values,
            self._facts["uploads"]["kind"],
            (self.rows, self.classes),
            f"Outputs of client {name} in round {round}",
        )
        arrays = {"values": found}
        if rows is not None:
            arrays["rows"] = given_rows(
                rows, len(found), self.rows, f"Rows of client {name} in round {round}"
            )
        elif len(found) != self.rows:
            raise UserError(
                f"Outputs of client {name} in round {round} are {len(found)} rows of {self.rows}; give rows, "
                "the numbers of those that they are for."
            )
        self._write(_UPLOADS.format(round=round, client=name), arrays)
        self._clients.setdefault(round, []).append(name)

    def server(self, round: int, values: Any) -> None:
        """Record the logits of the server's own model on all public rows, float [N, J].

        Raises:
            UserError: they do not fit, are there already, the rounds before have none, or the round is over. Nothing is
                written.
        """
        round = self._begin(round)
        if self._whole and self._whole[0] not in self._own:
            raise UserError(
                f"Round {self._whole[0]} has no outputs of the server's own, so round {round} can have none; record "
                "them in every round, or in none."
            )
        if round in self._own:
            raise UserError(f"The server's own outputs of round {round} are there already.")
        what = f"The server's own outputs in round {round}"
        found = given_outputs(values, "logits", (self.rows, self.classes), what)
        if len(found) != self.rows:
            raise UserError(f"{what} are {len(found)} rows; it must be all {self.rows}.")
        self._write(_SERVER.format(round=round), {"values": found})
        self._own.add(round)

    def close(self) -> None:
        """End the round that is open. A writer that is closed can go on with later rounds.

        Raises:
            UserError: the server's own outputs are missing in this round and not in others. They can still be recorded.
        """
        if (without := self._without_server()) is not None:
            raise UserError(f"{without}; record them and close again, or the capture lacks this round.")
        if self._open is None:
            return
        done = self._open
        if not self._clients.get(done):
            self._open = None
            self._forget(done)  # nothing was asked for (FedGEMS), or nobody answered: no round
            return
        whole = [*self._whole, done]
        described = self._describe(whole, self._clients, self._own)
        check_form(described)
        write_text(
            self.folder / "capture.yaml", yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
        )
        self._whole, self._open = whole, None  # it is not whole before that is written

    def _begin(self, round: int) -> int:
        """Make a round the open one, and return its number; the one before is then whole."""
        if not is_whole(round) or not 0 <= round < 10**9:
            raise UserError(f"A round is a whole number from 0, not {round!r:.40}.")
        if self._open == round:
            return int(round)
        last = self._whole[-1] if self._open is None and self._whole else self._open
        if last is not None and round <= last:
            raise UserError(f"Round {round} is over; rounds are recorded in their order.")
        if last is not None and (without := self._without_server()) is not None:
            log.warning("%s; it is left out of the capture", without)  # what is given now is not at fault
            self._forget(last)
        else:
            self.close()
        self._open = int(round)
        return self._open

    def _without_server(self) -> str | None:
        """That the open round lacks outputs of the server's own, which those before have; None where all is well."""
        if self._open is None or not self._clients.get(self._open) or not self._own.intersection(self._whole):
            return None
        if self._open in self._own:
            return None
        return f"Round {self._whole[0]} has outputs of the server's own, and round {self._open} has none"

    def _forget(self, round: int) -> None:
        """Remove what was recorded of a round."""
        shutil.rmtree(self.folder / Path(_SERVER.format(round=round)).parent, ignore_errors=True)
        self._clients.pop(round, None)
        self._own.discard(round)

    def _describe(self, rounds: list[int], clients: dict[int, list[str]], own: set[int]) -> dict[str, Any]:
        """The description of the capture with these rounds. Who holds a target is a client of it, answered or not."""
        answered = {name for round in rounds for name in clients[round]}
        names = sorted(answered | owners_of(self._facts.get("private")), key=_as_number)
        numbers = [str(k) for k in range(len(names))]
        described = dict(self._facts) | {
            "clients": len(names) if names == numbers else names,
            "rounds": len(rounds) if rounds == list(range(1, len(rounds) + 1)) else list(rounds),
        }
        if rounds[0] in own:
            described["server"] = _SERVER_FACTS
        return described

    def _open_folder(self, resume: bool, images: Array | None, table: str | None) -> None:
        """Begin, or go on after the last whole round; what is left of an open one is removed."""
        restore(self.folder.resolve())
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            if not resume:
                raise UserError(f"{self.folder} is not empty; choose another folder, or give resume=True.")
            kept = left_behind(self.folder, self._facts, _SERVER_FACTS, images, table)
            self._whole, self._clients = kept.rounds, kept.clients
            self._own = set(kept.rounds) if kept.server else set()
        self.folder.mkdir(parents=True, exist_ok=True)

    def _write(self, file: str, arrays: dict[str, Array]) -> None:
        def write(target: Path) -> None:
            with target.open("wb") as opened:
                np.savez(opened, allow_pickle=False, **arrays)

        write_atomic(self.folder / file, write)


def _side(height: int, width: int) -> int | None:
    """What an import should resize images to; None where it need not."""
    return None if height == width and 11 <= width <= 512 else int(np.clip(min(height, width), 11, 512))


def _as_number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isascii() and name.isdigit() and len(name) < 10 else (10**9, name)
