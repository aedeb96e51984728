"""A transcript, read: what travelled in a federation, and what the server itself knows.

A `Transcript` is the `ServerView` of every attack. Gigabytes of logits stay on disk: one client's upload of one
round is read at a time. A transcript may come from a stranger, so shapes, row ids and finiteness are checked before
use.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from logitleak.errors import UserError
from logitleak.files.storage import TensorFile, read_json, read_tensors
from logitleak.text import printable
from logitleak.types import (
    MODEL_KINDS,
    GlobalModel,
    Knowledge,
    Payload,
    PublicData,
    UploadKind,
    as_logits,
    provided,
)
from logitleak.wire.checks import check_finite, check_row_ids, check_tensor, describe
from logitleak.wire.models import UPDATE, check_model, outline_of, read_global_model, read_model
from logitleak.wire.writer import FORMAT, HELD, MEAN, OWN, Manifest, read_absent, read_bytes, round_folder

_MANIFEST_BYTES = 64 * 2**20


class Transcript:
    """Reads ``wire/``; this is all that an attack gets.

    Args:
        folder: a run folder, or its ``wire/`` folder.

    Raises:
        UserError: the folder is no transcript, a round is missing, or shapes do not fit together.
    """

    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        self.folder = folder / "wire" if (folder / "wire").is_dir() else folder
        if (folder / "worlds").is_dir() and self.folder == folder:
            raise UserError(
                f"{folder} holds several worlds, each with a transcript of its own; give one of them, such as "
                f"{folder / 'worlds' / '0'}."
            )
        if not (self.folder / "manifest.json").is_file():
            raise UserError(f"{folder} holds no transcript: there is no manifest.json in it.")
        self.manifest = read_manifest(self.folder / "manifest.json")
        self.knowledge = self._read_knowledge()
        absent = (t for t in self._round_numbers() if not round_folder(self.folder, t).is_dir())
        if missing := list(islice(absent, 5)):  # a stranger's manifest may claim any number of rounds
            listed = ", ".join(map(str, missing))
            raise UserError(
                f"{self.folder} lacks round {listed}, which its manifest claims; run it again if it is a simulation "
                "that was stopped."
            )
        self._outline: dict[str, tuple[int, ...]] = {}  # of the model that was sent last
        for t in self._round_numbers():
            self._check_round(t)

    @property
    def clients(self) -> int:
        """K, the number of clients whose uploads are seen; 1 where their mean alone is."""
        return 1 if self.summed else self.parties

    @property
    def summed(self) -> bool:
        """Whether the mean of all uploads is on record, and no single one."""
        return self.manifest.aggregation is not None

    @property
    def parties(self) -> int:
        """How many clients there are, seen one by one or not."""
        return self.manifest.clients

    @property
    def rounds(self) -> int:
        """T, the number of rounds."""
        return self.manifest.rounds

    @property
    def provides(self) -> frozenset[str]:
        """What an attack can ask of this transcript."""
        everything = provided(self.manifest.uploads.kind, self.knowledge.public.labels is not None)
        if self.manifest.participant:
            everything |= {"generated"}
        return everything if self.manifest.server_logits else everything - {"server_logits"}

    @property
    def upload_kind(self) -> UploadKind:
        """What clients gave away."""
        return self.manifest.uploads.kind

    @property
    def shadows(self) -> int:
        """0: what the server trains by itself does not travel; see `logitleak.stages.lab`."""
        return 0

    def shadow_logits(self, shadow: int, round: int) -> Tensor:
        """There are none.

        Raises:
            UserError: always.
        """
        raise UserError(f"{self.folder} holds no clients of the server's own.")

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        """Public row ids int64 [n] and values float32 [n, J] that a client uploaded in a round; none of a client
        that was absent. Where the mean of all uploads is on record and no other, client 0 is that mean.

        Raises:
            UserError: a value is not finite, or the file is damaged.
        """
        rows, values = self.client_values(client, round)
        return rows, as_logits(values, self.manifest.uploads.kind)

    def client_values(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        """Like `client_logits`, with probabilities as they travelled."""
        file = self._uploads(round)
        if not self.summed and client in read_absent(file, self.parties):
            return torch.empty(0, dtype=torch.int64), torch.empty(0, self.knowledge.num_classes)
        values = file.read(self._name(client)).to(torch.float32)
        check_finite(
            values, f"{'The mean' if self.summed else f'The upload of client {client}'} in round {round}"
        )
        named = _rows_name(file, client)
        return torch.arange(len(values)) if named is None else file.read(named), values

    def server_logits(self, round: int) -> Tensor:
        """The server's own model on the public set after its training in a round, float32 [N, J].

        Raises:
            UserError: there are none, a value is not finite, or the file is damaged.
        """
        if not self.manifest.server_logits:
            raise UserError(f"{self.folder} holds no logits of the server's own.")
        file = TensorFile(round_folder(self.folder, round) / f"{OWN}.safetensors")
        values = file.read("logits").to(torch.float32)
        check_finite(values, f"The server's own logits in round {round}")
        return values

    def global_model(self, round: int) -> GlobalModel:
        """The model that clients began a round with: what the server sent out in it, or last, and stepped along since.

        Raises:
            UserError: a value is missing or not finite, or the file is damaged.
        """
        return read_global_model(self._uploads, self._updates, self.manifest.uploads.tensor, round)

    def client_gradients(self, client: int, round: int) -> dict[str, Tensor]:
        """(old − new weights) / learning rate of a client in a round, float32, by parameter; empty where it was
        absent.

        Raises:
            UserError: a value is not finite, or the file is damaged.
        """
        file, uploads = self._uploads(round), self.manifest.uploads
        if client in read_absent(file, self.parties):
            return {}
        what = f"The upload of client {client} in round {round}"
        values = read_model(file, f"client-{client}", uploads.tensor, what, self._outline)
        if uploads.kind == "gradients":
            return values
        sent = self.global_model(round)
        return {name: (weight - values[name]) / sent.lr for name, weight in sent.weights.items()}

    def generated(self, round: int) -> tuple[Tensor, Tensor]:
        """What a participant that attacks held after a round: labels int64 [w], ascending, and images float32
        [w, s, 3, H, W] in [0, 1]; none where it had made none.

        Raises:
            UserError: they are no images of labels, or the file is damaged.
        """
        path = round_folder(self.folder, round) / f"{HELD}.safetensors"
        shape = self.knowledge.public.images.shape[1:]
        if not path.is_file():
            return torch.empty(0, dtype=torch.int64), torch.empty(0, 1, *shape)
        labels, images = (TensorFile(path).read(name) for name in ("labels", "images"))
        known = labels.dtype == torch.int64 and labels.dim() == 1 and bool((labels.diff() > 0).all())
        if not known or images.dtype != torch.uint8 or images.dim() != 5 or images.shape[2:] != shape:
            raise UserError(f"{path}: labels must be int64 [w], ascending, and images uint8 [w, s, 3, H, W].")
        if len(images) != len(labels) or images.shape[1] == 0:
            raise UserError(f"{path}: there must be images of every label.")
        return labels, images.to(torch.float32).div_(255)

    def sent(self, action: str, round: int) -> Payload | None:
        """The tensors that the server sent out with an action in a round; None where none are on record.

        Raises:
            UserError: a value is not finite, or the file is damaged.
        """
        path = round_folder(self.folder, round) / f"{action}.safetensors"
        if not path.is_file():
            return None
        file = TensorFile(path)
        tensors = {
            name.removeprefix("sent/"): file.read(name) for name in file.names() if name.startswith("sent/")
        }
        for value in tensors.values():
            if value.is_floating_point():
                check_finite(value, f"What the server sent for {action} in round {round}")
        return Payload(tensors) if tensors else None

    def actions(self, round: int) -> list[str]:
        """The actions on record for a round, by name."""
        return sorted(
            path.stem
            for path in round_folder(self.folder, round).glob("*.safetensors")
            if path.stem not in (OWN, HELD)
        )

    def absent(self, round: int) -> dict[str, dict[int, str]]:
        """Who was missing in a round (0 is before the first), and why: by action, then by client.

        Raises:
            UserError: a file is damaged.
        """
        found = {}
        for path in sorted(round_folder(self.folder, round).glob("*.safetensors")):
            if missing := read_absent(TensorFile(path), self.parties):
                found[path.stem] = missing
        return found

    def bytes_received(self, round: int) -> dict[int, int]:
        """Bytes that the server received from each client in a round."""
        return self._bytes(round, "client-{}")

    def bytes_sent(self, round: int) -> dict[int, int]:
        """Bytes that the server sent to each client in a round, in exchanges that the client answered."""
        return self._bytes(round, "sent")

    def _bytes(self, round: int, prefix: str) -> dict[int, int]:
        """Bytes of tensors for each client: of those under a name with its number, or of those sent to all."""
        totals = dict.fromkeys(range(self.parties), 0)
        for path in sorted(round_folder(self.folder, round).glob("*.safetensors")):
            file = TensorFile(path)
            absent = read_absent(file, self.parties)
            sizes: Counter[str] = Counter(
                {f"client-{k}": size for k, size in read_bytes(file, self.parties).items()}
            )
            for name in file.names():
                sizes[name.partition("/")[0]] += file.nbytes(name)
            for client in totals:
                totals[client] += 0 if client in absent else sizes[prefix.format(client)]
        return totals

    def _round_numbers(self) -> range:
        return range(1, self.rounds + 1)

    def _uploads(self, round: int) -> TensorFile:
        return TensorFile(round_folder(self.folder, round) / f"{self.manifest.uploads.action}.safetensors")

    def _updates(self, round: int) -> TensorFile:
        return TensorFile(round_folder(self.folder, round) / f"{UPDATE}.safetensors")

    def _name(self, client: int) -> str:
        sender = MEAN if self.summed else f"client-{client}"
        return f"{sender}/{self.manifest.uploads.tensor}"

    def _read_knowledge(self) -> Knowledge:
        path = self.folder / "public.safetensors"
        tensors = read_tensors(path)
        for name in ("images", "sensitive"):
            if name not in tensors:
                raise UserError(f'{path} holds no tensor called "{name}".')
        images, labels = tensors["images"], tensors.get("labels")
        if images.dim() != 4 or images.shape[1] != 3 or images.dtype != torch.uint8 or len(images) == 0:
            raise UserError(f"{path}: images must be uint8 [N, 3, H, W] with N > 0, not {describe(images)}.")
        if tensors["sensitive"].shape != (len(images),):
            raise UserError(
                f"{path}: sensitive must be [N] like images, not {describe(tensors['sensitive'])}."
            )
        sensitive = tensors["sensitive"].to(torch.bool)
        if labels is not None and (labels.shape != (len(images),) or labels.dtype != torch.int64):
            raise UserError(f"{path}: labels must be int64 [N] like images, not {describe(labels)}.")
        classes = self.manifest.num_classes
        listed = sorted(set(self.manifest.target_labels))
        if not listed:
            raise UserError(f"{self.folder}/manifest.json names no target label; there is nothing to attack.")
        spans = {"target labels": (listed[0], listed[-1])}
        if labels is not None:
            spans["labels"] = int(labels.min()), int(labels.max())
        for what, (low, high) in spans.items():
            if low < 0 or high >= classes:
                raise UserError(f"{self.folder}: {what} must be in 0..{classes - 1}.")
        targets = torch.tensor(listed, dtype=torch.int64)
        return Knowledge(PublicData(images, labels, sensitive), targets, classes)

    def _check_round(self, round: int) -> None:
        """Shapes only; values are checked when they are read."""
        public, classes = len(self.knowledge.public), self.knowledge.num_classes
        where, uploads = f"{self.folder}, round {round}", self._uploads(round)
        if self.summed and self.manifest.uploads.kind in MODEL_KINDS:
            raise UserError(f"{where}: the manifest knows of means of models, which cannot be read.")
        if self.manifest.server_logits:
            own = TensorFile(round_folder(self.folder, round) / f"{OWN}.safetensors")
            check_tensor(own, "logits", (public, classes), f"{where}: the server's own logits")
        if self.manifest.uploads.kind in MODEL_KINDS:
            self._check_models(round, uploads, where)
            return
        present = self._present(uploads, where)
        if not present:
            raise UserError(f"{where}: no client uploaded anything; there is nothing to attack.")
        if self.summed:
            for name in uploads.names():
                if name.startswith("client-"):
                    raise UserError(
                        f"{where}: {printable(name)} is one upload, and the manifest knows of means only."
                    )
            alone = self.manifest.aggregation is not None and self.manifest.aggregation.seen_by == "client"
            if alone and self._name(0) not in uploads.names():
                raise UserError(
                    f"{where}: this server never had the mean, so there is nothing to attack; with what a client "
                    "decrypted it is that client's view: logitleak deploy open RUN MEANS."
                )
            check_tensor(uploads, self._name(0), (public, classes), f"{where}: the mean of the uploads")
            return
        counts: dict[str | None, int] = {None: public}
        for k in present:
            named = _rows_name(uploads, k)
            if named not in counts:
                counts[named] = check_row_ids(uploads.read(str(named)), public, where)
            check_tensor(
                uploads, self._name(k), (counts[named], classes), f"{where}: the upload of client {k}"
            )

    def _check_models(self, round: int, uploads: TensorFile, where: str) -> None:
        """What clients sent, and how they came to the model that they began with."""
        tensor = self.manifest.uploads.tensor
        if sent := outline_of(uploads, tensor):
            self._outline = sent
        elif self._outline:
            who = f"{where}: {{}} of what the server sent in the round before"
            check_model(self._updates(round - 1), "sent", tensor, who, self._outline)
        else:
            raise UserError(f"{where}: the server sent no model.")
        for k in self._present(uploads, where):
            check_model(uploads, f"client-{k}", tensor, f"{where}: {{}} of client {k}", self._outline)

    def _present(self, file: TensorFile, where: str) -> list[int]:
        """The clients whose upload must be there: all but those whose absence is recorded."""
        absent = read_absent(file, self.parties)
        silent = {f"client-{k}" for k in absent}
        for name in file.names() if silent else ():
            sender = name.partition("/")[0]
            if sender in silent:
                raise UserError(f"{where}: {sender} is said to be absent, and has sent {printable(name)}.")
        return [k for k in range(self.parties) if k not in absent]


def _rows_name(file: TensorFile, client: int) -> str | None:
    """Where it is said which public rows a client's upload is for: by the client, or in what all were asked; None
    where it is for all rows."""
    return next((n for n in (f"client-{client}/rows", "sent/rows") if n in file.names()), None)


def read_manifest(path: Path) -> Manifest:
    """The public facts of a federation, from ``wire/manifest.json``.

    Raises:
        UserError: the file is missing, damaged, or no manifest.
    """
    if not path.resolve().is_relative_to(path.parent.resolve()):  # an error may quote what it points to
        raise UserError(f"{path} is a link out of the folder; put the file itself there.")
    if path.stat().st_size > _MANIFEST_BYTES:
        raise UserError(f"{path} is larger than any manifest; the transcript is damaged.")
    try:
        return Manifest.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = printable(".".join(map(str, first["loc"]))) or "the whole file"
        raise UserError(f"{path} is no manifest of format {FORMAT}: {where}: {first['msg']}.") from None
