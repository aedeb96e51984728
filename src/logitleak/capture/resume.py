"""Going on with a capture that an earlier process began."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logitleak.capture import description as descriptions
from logitleak.capture.description import Description
from logitleak.capture.findings import Findings
from logitleak.capture.parts import Server
from logitleak.capture.public import check_public
from logitleak.errors import UserError
from logitleak.files.atomic import clean
from logitleak.files.given import Array


@dataclass(frozen=True)
class Kept:
    """What is kept of a capture that was begun.

    Attributes:
        rounds: those that are whole.
        clients: for each of them, who answered.
        server: whether they have outputs of the server's own.
    """

    rounds: list[int] = field(default_factory=list)
    clients: dict[int, list[str]] = field(default_factory=dict)
    server: bool = False


def left_behind(
    folder: Path, facts: dict[str, Any], server: dict[str, Any], images: Array | None, table: str | None
) -> Kept:
    """What a folder holds of the capture that is to be written; what is left of an open round is removed.

    Args:
        folder: where the capture is; it holds something.
        facts: what its description says, but for clients, rounds and server.
        server: what it says of the server, if it has outputs of its own.
        images: the public images uint8 [N, H, W, 3]; None where there are none.
        table: ``public.csv``; None without.

    Raises:
        UserError: there is something else, or a capture of another federation, or it cannot be read.
    """
    clean(folder)  # a process that was killed may have left half of any file
    if not (folder / "capture.yaml").is_file():  # no round was whole
        if {left.name for left in folder.iterdir()} - {"logits", "public", "public.csv"}:
            raise UserError(f"{folder} holds no capture that was begun; choose another folder.")
        shutil.rmtree(folder / "logits", ignore_errors=True)
        (folder / "public.csv").unlink(missing_ok=True)  # the public set is written again
        return Kept()
    findings = Findings()
    kept = descriptions.read(folder, findings)
    if kept is None:
        broken = findings.kept[0]
        raise UserError(f"{folder / broken.where}: {broken.what} Mend it, or choose another folder.")
    facts = facts | {"clients": kept.clients, "rounds": kept.rounds}
    if kept.model_copy(update={"server": None}) != Description.model_validate(facts) or (
        kept.server not in (None, Server.model_validate(server))
    ):
        raise UserError(f"{folder} was begun with other arguments; choose another folder.")
    check_public(folder, images, table)
    clients = {
        round: [name for name in kept.client_names if (folder / kept.upload_file(round, name)).is_file()]
        for round in kept.round_numbers
    }
    for left in (folder / "logits").glob("round-*"):
        if left.name not in {f"round-{round}" for round in kept.round_numbers}:
            shutil.rmtree(left)
    return Kept(kept.round_numbers, clients, kept.server is not None)
