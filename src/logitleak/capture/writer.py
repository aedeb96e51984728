"""Recording a federation from its own server loop: a capture that grows as the rounds go by."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import yaml
from pydantic import ValidationError

from logitleak.capture.description import Description, problems
from logitleak.capture.outputs import check_kind, check_rows
from logitleak.capture.parts import CLIENT
from logitleak.capture.public import public_table, write_public
from logitleak.errors import UserError
from logitleak.files.atomic import restore, write_atomic
from logitleak.files.given import Array, array, pixels
from logitleak.files.storage import write_text

_UPLOADS = "logits/round-{round}/client-{client}.npz"
_SERVER = "logits/round-{round}/server.npz"


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
        synthetic: bool | None = None,
        image_size: int | None = None,
        resume: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.classes = classes
        images = None if isinstance(public, int) else pixels(public, "public")
        self.rows = public if isinstance(public, int) else len(public)
        self._clients: dict[int, list[str]] = {}  # by whole or open round
        self._own: set[int] = set()  # rounds with outputs of the server
        self._whole: list[int] = []
        self._open: int | None = None
        table = public_table(
            self.rows, labels, sensitive, most=classes if labelled else None, files=images is not None
        )
        if images is not None and image_size is None:
            image_size = _side(*images.shape[1:3])
        self._facts: dict[str, Any] = {
            "format": 1, "title": title, "scheme": scheme, "synthetic": synthetic, "noun": noun, "classes": classes,
            "targets": list(range(classes)) if targets is None else [int(target) for target in targets],
            "uploads": {"kind": kind, "files": _UPLOADS, "values": "values"},
            "public": {
                **({"rows": self.rows} if images is None else {"images": "public", "order": "table"}),
                **({} if table is None else {"table": "public.csv"}),
                **({} if image_size is None or images is None else {"image_size": image_size}),
                "labelled": labelled and labels is not None,
            },
        }  # fmt: skip
        self._describe([1], {1: ["0"]}, {1})  # what is wrong with it is said before anything is written
        self._open_folder(resume)
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
        """Record what a client sent.

        Args:
            round: of this round or a later one than all before; from 0.
            client: its number from 0, or its name, as everywhere in this capture.
            values: float [n, J], its outputs.
            rows: int [n], the public rows that they are for; None for all N, in order.

        Raises:
            UserError: a value does not fit, the client has sent already, or the round is over. Nothing is written.
        """
        name = str(client)
        if not re.fullmatch(CLIENT, name):
            raise UserError(
                f"A client is called by a number, or by a name of letters and digits, not {name!r:.60}."
            )
        self._begin(round)
        if name in self._clients.get(round, []):
            raise UserError(f"Client {name} has sent its outputs of round {round} already.")
        found = self._outputs(
            values, self._facts["uploads"]["kind"], f"Outputs of client {name} in round {round}"
        )
        arrays = {"values": found}
        if rows is not None:
            arrays["rows"] = self._row_ids(rows, len(found), f"Rows of client {name} in round {round}")
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
            UserError: they do not fit, are there already, or the round is over. Nothing is written.
        """
        self._begin(round)
        if round in self._own:
            raise UserError(f"The server's own outputs of round {round} are there already.")
        found = self._outputs(values, "logits", f"The server's own outputs in round {round}")
        if len(found) != self.rows:
            raise UserError(
                f"The server's own outputs in round {round} are {len(found)} rows; it must be all {self.rows}."
            )
        self._write(_SERVER.format(round=round), {"values": found})
        self._own.add(round)

    def close(self) -> None:
        """End the round that is open. A writer that is closed can go on with later rounds.

        Raises:
            UserError: the server's own outputs are missing in this round and not in others, or the reverse.
        """
        if self._open is None:
            return
        done, self._open = self._open, None
        if not self._clients.get(done):
            shutil.rmtree(self.folder / Path(_SERVER.format(round=done)).parent, ignore_errors=True)
            self._own.discard(done)  # nothing was asked for (FedGEMS), or nobody answered: no round
            return
        if self._whole and (done in self._own) != (self._whole[0] in self._own):
            there, missing = (done, self._whole[0]) if done in self._own else (self._whole[0], done)
            raise UserError(
                f"Round {there} has outputs of the server's own, and round {missing} has none; record them in every "
                "round, or in none. The capture ends before this round."
            )
        self._whole.append(done)
        described = self._describe(self._whole, self._clients, self._own)
        write_text(
            self.folder / "capture.yaml", yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
        )

    def _begin(self, round: int) -> None:
        """Make a round the open one; the one before is then whole."""
        if isinstance(round, bool) or not isinstance(round, int) or not 0 <= round < 10**9:
            raise UserError(f"A round is a whole number from 0, not {round!r:.40}.")
        if self._open == round:
            return
        last = self._whole[-1] if self._open is None and self._whole else self._open
        if last is not None and round <= last:
            raise UserError(f"Round {round} is over; rounds are recorded in their order.")
        self.close()
        self._open = round

    def _outputs(self, values: Any, kind: Literal["logits", "probabilities"], what: str) -> Array:
        """float32 [n, J], if that is what they are."""
        found = array(values, what)
        if found.ndim != 2 or found.shape[1] != self.classes or not 0 < len(found) <= self.rows:
            raise UserError(
                f"{what} have shape {list(found.shape)}; [up to {self.rows}, {self.classes}] is needed."
            )
        if found.dtype.kind != "f":
            raise UserError(f"{what} are of type {found.dtype}; floats are needed.")
        with np.errstate(over="ignore"):
            found = np.ascontiguousarray(found, np.float32)
        if not np.isfinite(found).all():
            raise UserError(f"{what} hold NaN, infinite values or some too large for 32 bits.")
        try:
            check_kind(found, kind)
        except UserError as error:
            raise UserError(f"{what}: {error}") from None
        return found

    def _row_ids(self, rows: Any, count: int, what: str) -> Array:
        found = array(rows, what)
        if found.shape != (count,) or found.dtype.kind not in "iu":
            raise UserError(
                f"{what} have type {found.dtype} and shape {list(found.shape)}; integers [{count}] are needed."
            )
        try:
            return check_rows(found, self.rows)
        except UserError as error:
            raise UserError(f"{what}: {error}") from None

    def _describe(self, rounds: list[int], clients: dict[int, list[str]], own: set[int]) -> dict[str, Any]:
        """The description of the capture with these rounds, checked as an import will check it."""
        names = sorted({name for round in rounds for name in clients[round]}, key=_as_number)
        numbers = [str(k) for k in range(len(names))]
        described = dict(self._facts) | {
            "clients": len(names) if names == numbers else names,
            "rounds": len(rounds) if rounds == list(range(1, len(rounds) + 1)) else list(rounds),
        }
        if rounds[0] in own:
            described["server"] = {"files": _SERVER, "values": "values"}
        try:
            Description.model_validate(described)
        except ValidationError as error:
            raise UserError(f"This cannot be a capture: {problems(error)[0]}") from None
        return described

    def _open_folder(self, resume: bool) -> None:
        """Begin, or go on after the last whole round; what is left of an open one is removed."""
        restore(self.folder.resolve())
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            if not resume:
                raise UserError(f"{self.folder} is not empty; choose another folder, or give resume=True.")
            self._resume()
        self.folder.mkdir(parents=True, exist_ok=True)

    def _resume(self) -> None:
        path = self.folder / "capture.yaml"
        if not path.is_file():  # no round was whole
            known = {"logits", "public", "public.csv"}
            if {left.name for left in self.folder.iterdir()} - known:
                raise UserError(f"{self.folder} holds no capture that was begun; choose another folder.")
            shutil.rmtree(self.folder / "logits", ignore_errors=True)
            (self.folder / "public.csv").unlink(missing_ok=True)  # the public set is written again
            return
        kept = Description.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        facts = Description.model_validate(self._facts | {"clients": kept.clients, "rounds": kept.rounds})
        if kept.model_copy(update={"server": None}) != facts:
            raise UserError(f"{self.folder} was begun with other arguments; choose another folder.")
        self._whole = kept.round_numbers
        for round in self._whole:
            names = [
                name for name in kept.client_names if (self.folder / kept.upload_file(round, name)).is_file()
            ]
            self._clients[round] = names
            if kept.server is not None:
                self._own.add(round)
        for left in (self.folder / "logits").glob("round-*"):
            if left.name not in {f"round-{round}" for round in self._whole}:
                shutil.rmtree(left)

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
