"""The files of a transcript's rounds: where an upload lies, and whether shapes are those that the manifest announces.

Values are checked when they are read.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from logitleak.errors import UserError
from logitleak.files.storage import TensorFile
from logitleak.text import printable
from logitleak.types import MODEL_KINDS
from logitleak.wire.checks import check_row_ids, check_tensor
from logitleak.wire.models import UPDATE, check_model, outline_of
from logitleak.wire.writer import MEAN, OWN, Manifest, read_absent, round_folder


class Rounds:
    """The exchanges of every round that carry uploads, and what the server sent or computed beside them.

    Args:
        folder: ``wire/``.
        manifest: what is in it.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @property
    def summed(self) -> bool:
        """Whether the mean of all uploads is on record, and no single one."""
        return self.manifest.aggregation is not None

    def uploads(self, round: int) -> TensorFile:
        """The exchange that carries what clients give away."""
        return TensorFile(round_folder(self.folder, round) / f"{self.manifest.uploads.action}.safetensors")

    def updates(self, round: int) -> TensorFile:
        """The exchange in which a server says what everybody is to step along."""
        return TensorFile(round_folder(self.folder, round) / f"{UPDATE}.safetensors")

    def own(self, round: int) -> TensorFile:
        """What the server's own model says."""
        return TensorFile(round_folder(self.folder, round) / f"{OWN}.safetensors")

    def name(self, client: int) -> str:
        """What a client's upload is called in its exchange; where there are sums, what their mean is."""
        sender = MEAN if self.summed else f"client-{client}"
        return f"{sender}/{self.manifest.uploads.tensor}"

    def check(self, public: int) -> dict[str, tuple[int, ...]]:
        """Hold the shapes of all rounds against the manifest.

        Args:
            public: N, the number of public images.

        Returns:
            The shapes of the shared model that was sent last, by parameter; empty where clients share outputs.

        Raises:
            UserError: a round is missing, or something in it does not fit.
        """
        numbers = range(1, self.manifest.rounds + 1)
        absent = (t for t in numbers if not round_folder(self.folder, t).is_dir())
        if missing := list(islice(absent, 5)):  # a stranger's manifest may claim any number of rounds
            listed = ", ".join(map(str, missing))
            raise UserError(
                f"{self.folder} lacks round {listed}, which its manifest claims; run it again if it is a simulation "
                "that was stopped."
            )
        outline: dict[str, tuple[int, ...]] = {}
        for t in numbers:
            outline = self._check_round(t, public, outline)
        return outline

    def _check_round(
        self, round: int, public: int, outline: dict[str, tuple[int, ...]]
    ) -> dict[str, tuple[int, ...]]:
        """The shapes of the shared model as of this round, given those of the round before."""
        classes, kind = self.manifest.num_classes, self.manifest.uploads.kind
        where, uploads = f"{self.folder}, round {round}", self.uploads(round)
        if self.summed and kind in MODEL_KINDS:
            raise UserError(f"{where}: the manifest knows of means of models, which cannot be read.")
        if self.manifest.server_logits:
            check_tensor(self.own(round), "logits", (public, classes), f"{where}: the server's own logits")
        if kind in MODEL_KINDS:
            return self._check_models(round, uploads, where, outline)
        present = self._present(uploads, where)
        if not present:
            raise UserError(f"{where}: no client uploaded anything; there is nothing to attack.")
        if self.summed:
            self._check_mean(uploads, (public, classes), where)
        else:
            self._check_outputs(uploads, present, (public, classes), where)
        return outline

    def _check_mean(self, uploads: TensorFile, wanted: tuple[int, int], where: str) -> None:
        """The mean alone, and no upload beside it."""
        for name in uploads.names():
            if name.startswith("client-"):
                raise UserError(
                    f"{where}: {printable(name)} is one upload, and the manifest knows of means only."
                )
        alone = self.manifest.aggregation is not None and self.manifest.aggregation.seen_by == "client"
        if alone and self.name(0) not in uploads.names():
            raise UserError(
                f"{where}: this server never had the mean, so there is nothing to attack; with what a client "
                "decrypted it is that client's view: logitleak deploy open RUN MEANS."
            )
        check_tensor(uploads, self.name(0), wanted, f"{where}: the mean of the uploads")

    def _check_outputs(
        self, uploads: TensorFile, present: list[int], wanted: tuple[int, int], where: str
    ) -> None:
        """One row of each client for each public image, or for each that was asked for."""
        public, classes = wanted
        counts: dict[str | None, int] = {None: public}
        for k in present:
            named = rows_name(uploads, k)
            if named not in counts:
                counts[named] = check_row_ids(uploads.read(str(named)), public, where)
            check_tensor(
                uploads, self.name(k), (counts[named], classes), f"{where}: the upload of client {k}"
            )

    def _check_models(
        self, round: int, uploads: TensorFile, where: str, outline: dict[str, tuple[int, ...]]
    ) -> dict[str, tuple[int, ...]]:
        """What clients sent, and how they came to the model that they began with."""
        tensor = self.manifest.uploads.tensor
        if sent := outline_of(uploads, tensor):
            outline = sent
        elif outline:
            who = f"{where}: {{}} of what the server sent in the round before"
            check_model(self.updates(round - 1), "sent", tensor, who, outline)
        else:
            raise UserError(f"{where}: the server sent no model.")
        for k in self._present(uploads, where):
            check_model(uploads, f"client-{k}", tensor, f"{where}: {{}} of client {k}", outline)
        return outline

    def _present(self, file: TensorFile, where: str) -> list[int]:
        """The clients whose upload must be there: all but those whose absence is recorded."""
        parties = self.manifest.clients
        absent = read_absent(file, parties)
        silent = {f"client-{k}" for k in absent}
        for name in file.names() if silent else ():
            sender = name.partition("/")[0]
            if sender in silent:
                raise UserError(f"{where}: {sender} is said to be absent, and has sent {printable(name)}.")
        return [k for k in range(parties) if k not in absent]


def rows_name(file: TensorFile, client: int) -> str | None:
    """Where it is said which public rows a client's upload is for: by the client, or in what all were asked; None
    where it is for all rows."""
    return next((n for n in (f"client-{client}/rows", "sent/rows") if n in file.names()), None)
