"""A transcript, read: what travelled in a federation, and what the server itself knows.

A `Transcript` is the `ServerView` of every attack. Gigabytes of logits stay on disk: one client's upload of one
round is read at a time. A transcript may come from a stranger, so shapes, row ids and finiteness are checked before
use.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

from logitleak.errors import UserError
from logitleak.files.storage import TensorFile
from logitleak.types import GlobalModel, Payload, UploadKind, as_logits, provided
from logitleak.wire.checks import check_finite
from logitleak.wire.models import read_global_model, read_model
from logitleak.wire.public import read_knowledge, read_manifest
from logitleak.wire.rounds import Rounds, rows_name
from logitleak.wire.writer import HELD, OWN, read_absent, read_bytes, round_folder


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
        self.knowledge = read_knowledge(self.folder, self.manifest)
        self._rounds = Rounds(self.folder, self.manifest)
        self._outline = self._rounds.check(len(self.knowledge.public))

    @property
    def clients(self) -> int:
        """K, the number of clients whose uploads are seen; 1 where their mean alone is."""
        return 1 if self.summed else self.parties

    @property
    def summed(self) -> bool:
        """Whether the mean of all uploads is on record, and no single one."""
        return self._rounds.summed

    @property
    def parties(self) -> int:
        """How many clients there are, seen one by one or not."""
        return self.manifest.clients

    @property
    def rounds(self) -> int:
        """T, the number of rounds."""
        return self.manifest.rounds

    @property
    def asked(self) -> int:
        """In how many rounds uploads were asked for: T, or more where the federation ended in one that is not whole."""
        return max(self.rounds, self.manifest.asked or 0)

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
        file = self._rounds.uploads(round)
        if not self.summed and client in read_absent(file, self.parties):
            return torch.empty(0, dtype=torch.int64), torch.empty(0, self.knowledge.num_classes)
        values = file.read(self._rounds.name(client)).to(torch.float32)
        check_finite(
            values, f"{'The mean' if self.summed else f'The upload of client {client}'} in round {round}"
        )
        named = rows_name(file, client)
        return torch.arange(len(values)) if named is None else file.read(named), values

    def server_logits(self, round: int) -> Tensor:
        """The server's own model on the public set after its training in a round, float32 [N, J].

        Raises:
            UserError: there are none, a value is not finite, or the file is damaged.
        """
        if not self.manifest.server_logits:
            raise UserError(f"{self.folder} holds no logits of the server's own.")
        file = self._rounds.own(round)
        values = file.read("logits").to(torch.float32)
        check_finite(values, f"The server's own logits in round {round}")
        return values

    def global_model(self, round: int) -> GlobalModel:
        """The model that clients began a round with: what the server sent out in it, or last, and stepped along since.

        Raises:
            UserError: a value is missing or not finite, or the file is damaged.
        """
        return read_global_model(
            self._rounds.uploads, self._rounds.updates, self.manifest.uploads.tensor, round
        )

    def client_gradients(self, client: int, round: int) -> dict[str, Tensor]:
        """(old − new weights) / learning rate of a client in a round, float32, by parameter; empty where it was
        absent.

        Raises:
            UserError: a value is not finite, or the file is damaged.
        """
        file, uploads = self._rounds.uploads(round), self.manifest.uploads
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
