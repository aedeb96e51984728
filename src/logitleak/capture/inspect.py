"""A capture, looked at from end to end: everything that is wrong with it, and what it holds if nothing is.

One file of outputs is in memory at a time; the public images stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from logitleak.capture import description as descriptions
from logitleak.capture.arrays import Wanted
from logitleak.capture.defended import check_defenses
from logitleak.capture.description import Description
from logitleak.capture.findings import Findings, count, listed
from logitleak.capture.images import PublicSet, read_private, read_public
from logitleak.capture.outputs import Kind, Outputs, check_kind, oddities, read_outputs
from logitleak.capture.places import fill, inside
from logitleak.capture.targets import check_targets
from logitleak.files.given import Array

_MOST_VALUES = 2**30  # of one file: 4 GiB as they are kept
_ENOUGH_ROWS = 20  # to tell an accuracy from chance


@dataclass(frozen=True)
class Content:
    """What a sound capture holds. Clients are numbered from 0 and rounds from 1, as in a transcript.

    Attributes:
        folder: where it is.
        description: what it says of itself.
        public: the public set.
        private: private images uint8 [n, 3, side, side] and their labels int64 [n]; None without.
        present: for every round, the clients that answered.
    """

    folder: Path
    description: Description
    public: PublicSet
    private: tuple[Tensor, Tensor] | None
    present: dict[int, list[int]]

    def upload(self, round: int, client: int) -> Outputs:
        """What a client sent in a round."""
        d = self.description
        file = d.upload_file(d.round_numbers[round - 1], d.client_names[client])
        return _read(self.folder, file, uploads_wanted(d, len(self.public.data)), d.uploads.kind)

    def own(self, round: int) -> Outputs:
        """The server's own logits of a round."""
        d = self.description
        assert d.server is not None
        file = fill(d.server.files, d.round_numbers[round - 1])
        return _read(self.folder, file, _server_wanted(d, len(self.public.data)), "logits")


@dataclass(frozen=True)
class Inspection:
    """Every finding, and the content where there is no error among them."""

    findings: Findings
    content: Content | None


def inspect(folder: Path) -> Inspection:
    """Look at a capture from end to end.

    Raises:
        UserError: this is no capture.
    """
    findings = Findings()
    description = descriptions.read(folder, findings)
    if description is None:
        return Inspection(findings, None)
    check_targets(description, findings)
    check_defenses(description, findings)
    public, rows = read_public(folder, description, findings)
    private = None
    if description.private is not None:
        side = public.data.image_size[0] if public is not None else description.public.image_size
        private = read_private(folder, description, side, findings)
    if rows is None:
        findings.warn(
            "uploads", "were not looked at: how many rows they have is known when the public set is."
        )
        return Inspection(findings, None)
    present = _Uploads(
        folder, description, public.labels if public is not None else None, rows, findings
    ).check()
    if public is None or findings.errors:
        return Inspection(findings, None)
    return Inspection(findings, Content(folder, description, public, private, present))


def uploads_wanted(description: Description, public: int) -> Wanted:
    """What a file of a client should hold."""
    return Wanted(description.classes, public, description.uploads.values, description.uploads.rows)


def _server_wanted(description: Description, public: int) -> Wanted:
    return Wanted(
        description.classes, public, description.server.values if description.server else None, None
    )


class _Uploads:
    """Goes through the outputs of clients and server, and collects what is said once for many files."""

    def __init__(
        self, folder: Path, description: Description, labels: Tensor | None, rows: int, findings: Findings
    ) -> None:
        self.folder, self.description, self.findings = folder, description, findings
        self.labels, self.rows = labels, rows
        self.seen: dict[str, str] = {}  # digest to the first file that had it
        self.copies: list[str] = []
        self.odd: dict[str, list[str]] = {}  # what is odd, to the files where it is
        self.last: tuple[Array, Array | None] | None = None  # of the last sound file: labels named, and rows

    def check(self) -> dict[int, list[int]]:
        """The clients that answered in every round."""
        d, n = self.description, self.rows
        present: dict[int, list[int]] = {}
        if n * d.classes > _MOST_VALUES:
            self.findings.error(
                "classes", f"{n} public rows and {d.classes} classes are more than fit in memory."
            )
            return present
        wanted = uploads_wanted(d, n)
        for t, number in enumerate(d.round_numbers, start=1):
            present[t] = []
            for k, name in enumerate(d.client_names):
                if self._file(d.upload_file(number, name), wanted, d.uploads.kind) != "missing":
                    present[t].append(k)
            if not present[t]:
                self.findings.error("rounds", f"no client has a file for round {number}; leave it out.")
        self._gaps(present)
        self._server()
        self._say()
        if self.last is not None:
            self._order(*self.last)
        return present

    def _file(self, file: str, wanted: Wanted, kind: Kind) -> Literal["missing", "unreadable", "sound"]:
        """Look at a file, and keep no more of it than is compared: it may be gigabytes."""
        with self.findings.at(file):
            if not inside(self.folder, file).is_file():
                return "missing"
            outputs = _read(self.folder, file, wanted, kind)
            for message in oddities(outputs.values):
                self.odd.setdefault(message, []).append(file)
            first = self.seen.setdefault(outputs.digest(), file)
            if first != file:
                self.copies.append(f"{file} is the same as {first}")
            self.last = outputs.values.argmax(1), outputs.rows
            return "sound"
        return "unreadable"

    def _server(self) -> None:
        d = self.description
        if d.server is None:
            self.findings.warn(
                "server", f"there are no outputs of the server's own, so {self._without_server()}."
            )
            return
        wanted = _server_wanted(d, self.rows)
        for number in d.round_numbers:
            if self._file(fill(d.server.files, number), wanted, "logits") == "missing":
                self.findings.error(
                    fill(d.server.files, number), "is missing; give every round, or no server at all."
                )

    def _without_server(self) -> str:
        """What can be done where none of the server's outputs are there."""
        d = self.description
        if d.public.images is None:  # nothing can be attacked in any case
            return "audits of sums, and of a single client, have nothing to hold uploads against"
        # several clients are each other's reference; without labels f_0 would know nothing
        gap = "gap, " if len(d.client_names) > 1 or not d.public.labelled else ""
        return f"only attacks can run that need none: tbi, {gap}and ridge and pli with q=client"

    def _gaps(self, present: dict[int, list[int]]) -> None:
        d = self.description
        private = d.private.owners if d.private is not None else None
        # who holds a target is there, whether it answered or not
        owners = {str(name) for name in (private or {}).values()}
        for k, name in enumerate(d.client_names):
            absent = [n for t, n in enumerate(d.round_numbers, start=1) if k not in present[t]]
            if len(absent) == len(d.round_numbers) and name not in owners:
                self.findings.error(
                    "clients", f"client {name} has no file at all, such as {d.upload_file(absent[0], name)}."
                )
            elif absent:
                rounds = listed([str(number) for number in absent])
                self.findings.warn(
                    "clients", f"client {name} was absent in round {rounds}: there is no file."
                )

    def _say(self) -> None:
        for message, files in self.odd.items():
            more = f" (and in {count(len(files) - 1, 'other file')})" if len(files) > 1 else ""
            self.findings.warn(files[0], f"{message}{more}")
        if self.copies:
            self.findings.warn("uploads", f"{listed(self.copies, 3)}; was a file copied?")

    def _order(self, named: Array, rows: Array | None) -> None:
        """Rows in the wrong order cannot be seen, but a model that knows nothing of its own public set can."""
        labels = self.labels
        if labels is None or not self.description.public.labelled:
            return
        truth = labels.numpy() if rows is None else labels.numpy()[rows]
        right = float(np.mean(named == truth))
        if len(truth) >= _ENOUGH_ROWS and right < 2 / self.description.classes:
            pictured = self.description.public.images is not None
            what, order = ("images", "images") if pictured else ("rows", "public set")
            self.findings.warn(
                "public.order",
                f"outputs of the last round name the right label for {right:.1%} of the public {what}, hardly more "
                f"than chance: are the rows in the order of the {order}?",
            )


def _read(folder: Path, file: str, wanted: Wanted, kind: Kind) -> Outputs:
    outputs = read_outputs(folder, file, wanted)
    check_kind(outputs.values, kind)
    return outputs
