"""``capture.yaml``: what a capture says of itself. Its JSON Schema is docs/capture.schema.json."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from logitleak.capture.findings import Findings
from logitleak.capture.parts import (
    Client,
    Defense,
    Game,
    Label,
    Outputs,
    Part,
    Private,
    Public,
    Round,
    Server,
    Text,
    short,
)
from logitleak.capture.places import DESCRIPTIONS, fill, has_field, inside
from logitleak.capture.plain import parse
from logitleak.errors import UserError, did_you_mean
from logitleak.text import NOUN
from logitleak.wire.writer import MOST_CLASSES, MOST_CLIENTS

_MOST_UPLOADS = 1_000_000  # clients times rounds


class Description(Part):
    """The whole of ``capture.yaml``.

    Attributes:
        format: 1.
        title: what to call these data in the report.
        scheme: what to call the federation's scheme, such as fedmd.
        synthetic: whether the people are made up; null leaves it unsaid.
        noun: what one label stands for, in the words of the report: person, class, product.
        classes: J, the length of a row of outputs.
        clients: their number, or their names as they stand in file names; a number K means 0 to K-1.
        rounds: their number, or a list of those that were recorded; a number T means 1 to T.
        targets: labels whose images are private, by number or name.
        names: the names of all labels, J of them.
        defenses: what the server knows that clients did before they sent, in that order.
        uploads, server, public, private: see there. Without ``server`` only attacks can run that need no outputs
            of the server's own; without ``private`` nothing can be scored.
    """

    format: Literal[1]
    title: Text
    scheme: Text = "Federated distillation"
    synthetic: bool | None = None
    noun: Annotated[str, Field(pattern=NOUN)] = "person"
    classes: int = Field(ge=2, le=MOST_CLASSES)
    clients: (
        Annotated[int, Field(ge=1, le=MOST_CLIENTS)]
        | Annotated[list[Client], Field(min_length=1, max_length=MOST_CLIENTS, fail_fast=True)]
    )
    rounds: (
        Annotated[int, Field(ge=1, le=100_000)]
        | Annotated[list[Round], Field(min_length=1, max_length=100_000, fail_fast=True)]
    )
    targets: Annotated[list[Label], Field(min_length=1, max_length=MOST_CLASSES, fail_fast=True)]
    names: Annotated[list[Text], Field(max_length=MOST_CLASSES, fail_fast=True)] | None = None
    defenses: Annotated[list[Defense], Field(max_length=100, fail_fast=True)] = Field(default_factory=list)
    uploads: Outputs
    server: Server | None = None
    public: Public
    private: Private | None = None

    @property
    def client_names(self) -> list[str]:
        """How the K clients are called in file names; client k of the transcript is the k-th of them."""
        return [str(k) for k in range(self.clients)] if isinstance(self.clients, int) else list(self.clients)

    @property
    def round_numbers(self) -> list[int]:
        """How the T rounds are numbered in file names; round t of the transcript is the t-th of them."""
        return list(range(1, self.rounds + 1)) if isinstance(self.rounds, int) else list(self.rounds)

    def clients_with(self, defense: Defense) -> Literal["all"] | list[int]:
        """The clients of the transcript that have a defense; who is not in this capture is left out."""
        if defense.clients == "all":
            return "all"
        wanted = set(map(str, defense.clients))
        return [k for k, name in enumerate(self.client_names) if name in wanted]

    def upload_file(self, round: int, client: str) -> str:
        """Where a client's outputs of a round are, in the capture. Numbers of clients are padded like rounds."""
        return fill(self.uploads.files, round, int(client) if isinstance(self.clients, int) else client)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names or ())}

    def label_of(self, given: int | str) -> int | None:
        """The number of a label that is given by number or name; None where there is none such."""
        if given in self._numbers:
            return self._numbers[str(given)]
        digits = str(given)
        if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
            return None
        return int(digits)

    @model_validator(mode="after")
    def _fits_together(self) -> Description:
        for what, items in (("clients", self.client_names), ("rounds", self.round_numbers)):
            if len(set(items)) < len(items):
                raise ValueError(f'"{what}" names one twice')
            if len(items) > 1 and not has_field(self.uploads.files, what.removesuffix("s")):
                raise ValueError(f'"uploads.files" must differ by {{{what.removesuffix("s")}}}')
        if (
            self.server is not None
            and len(self.round_numbers) > 1
            and not has_field(self.server.files, "round")
        ):
            raise ValueError('"server.files" must differ by {round}')
        if self.server is not None and has_field(self.server.files, "client"):
            raise ValueError('"server.files" is one file for each round; it has no {client}')
        if len(self.client_names) * len(self.round_numbers) > _MOST_UPLOADS:
            raise ValueError(f"clients times rounds are more than {_MOST_UPLOADS:,}; leave rounds out")
        if self.names is not None and (
            len(self.names) != self.classes or len(set(self.names)) < len(self.names)
        ):
            raise ValueError(f'"names" must be {self.classes} different names, as many as "classes"')
        if self.names is not None and any(name.isascii() and name.isdigit() for name in self.names):
            raise ValueError('"names" must not be numbers, which mean the labels themselves')
        if self.private is not None and self.public.images is None and self.private.images is not None:
            raise ValueError('"private.images" are images, and the public set has none to compare them with')
        if self.private is not None and self.public.images is not None and self.private.images is None:
            raise ValueError('"private" needs "images", a folder with a folder of images for each target')
        if self.public.order == "table" and self.public.table is None:
            raise ValueError('"public.order" is "table", and there is no "public.table"')
        return self


def schema() -> str:
    """The JSON Schema of a description, as docs/capture.schema.json holds it."""
    return json.dumps(Description.model_json_schema(), indent=1, ensure_ascii=False) + "\n"


def is_capture(folder: Path) -> bool:
    """Whether a folder has a description."""
    return any((folder / name).is_file() for name in DESCRIPTIONS)


def read(folder: Path, findings: Findings) -> Description | None:
    """The description of a capture, or None and every reason why it is none.

    Raises:
        UserError: there is no such file, or more than one.
    """
    present = [folder / name for name in DESCRIPTIONS if (folder / name).is_file()]
    if len(present) != 1:
        found = " and ".join(path.name for path in present) or "no capture.yaml"
        raise UserError(f"{folder} holds {found}; a capture has one description (see docs/capture.md).")
    with findings.at(present[0].name):
        inside(folder, present[0].name)  # an error may quote what a link points to
        values = parse(present[0])
        try:
            return Description.model_validate(values)
        except ValidationError as error:
            for message in problems(error):
                findings.error(present[0].name, message)
    return None


def problems(error: ValidationError) -> list[str]:
    """Every problem of a description, in the words of the file."""
    said = []
    for problem in error.errors(include_url=False):
        path = [str(part) for part in problem["loc"] if not _is_type_name(part)]
        where = f'"{".".join(path)}": ' if path else ""
        if problem["type"] == "extra_forbidden":
            said.append(f"{where}there is no such setting.{did_you_mean(path[-1], _settings_of(path[:-1]))}")
            continue
        message = problem["msg"].removeprefix("Value error, ").rstrip(".")
        given = (
            "" if problem["type"] in ("missing", "value_error") else f" (given: {short(problem['input'])})"
        )
        said.append(f"{where}{message}{given}.")
    return list(dict.fromkeys(said))


def _is_type_name(part: Any) -> bool:
    """Pydantic names the tried alternative of a union in the path; that is nothing the user wrote."""
    return isinstance(part, str) and (
        "[" in part or part in ("int", "str", "constrained-int", "constrained-str")
    )


def _settings_of(path: list[str]) -> list[str]:
    parts: dict[str, type[Part]] = {
        "": Description, "uploads": Outputs, "server": Server, "public": Public, "private": Private,
        "private.game": Game,
    }  # fmt: skip
    model = parts.get(".".join(path))
    return model.setting_names() if model is not None else []
