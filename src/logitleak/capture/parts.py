"""The sections of ``capture.yaml``, and what a value in it may look like. A stranger writes it, so all is bounded."""

from __future__ import annotations

import re
import reprlib
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from logitleak.capture.places import check_pattern, check_relative
from logitleak.wire.writer import MOST_CLASSES, MOST_CLIENTS

MOST_ROWS = 1_000_000
"""Public images, or rows of no images."""

_MOST_SETTINGS = 100  # of one part; there are fewer than 20
CLIENT = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$"

Text = Annotated[str, Field(min_length=1, max_length=200)]
Inside = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(check_relative)]
Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(check_pattern)]
Client = Annotated[str, Field(pattern=CLIENT)]
Round = Annotated[int, Field(ge=0, lt=10**9)]
Label = Annotated[int, Field(ge=0, lt=MOST_CLASSES)] | Text


def _check_owners(owners: Any) -> Any:
    """The owners as they are, if they are all of the right kind. Pydantic would list every wrong one: a stranger's
    million of them is a gigabyte of errors. Lists have `fail_fast` for that."""
    for target, client in owners.items() if isinstance(owners, dict) else ():
        named = isinstance(client, str) and re.fullmatch(CLIENT, client) is not None
        if not (isinstance(target, str) and 1 <= len(target) <= 200 and (named or type(client) is int)):
            raise ValueError(
                f"a target in quotes, and a client's name or number, must be a pair, not {short({target: client})}"
            )
    return owners


def _check_side(targets: Any) -> Any:
    """A side of a game as it is, unless nobody is on it."""
    if targets == []:
        raise ValueError("names nobody; without somebody in and somebody out there is nothing to compare")
    return targets


Targets = Annotated[
    list[Label],
    Field(min_length=1, max_length=MOST_CLASSES, fail_fast=True),
    BeforeValidator(_check_side),
]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    @classmethod
    def setting_names(cls) -> list[str]:
        """What the settings are called in the file."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @model_validator(mode="before")
    @classmethod
    def _few_settings(cls, values: Any) -> Any:
        if isinstance(values, dict) and len(values) > _MOST_SETTINGS:  # each unknown one would be an error
            raise ValueError(f"has {len(values):,} settings; there are {len(cls.model_fields)}")
        return values


class Outputs(Part):
    """What the clients sent.

    Attributes:
        kind: "logits" or "probabilities" (softmax outputs, as in DS-FL).
        files: one file for each client and round, with {round} and {client}: .npz, .npy, .safetensors or .csv.
        values: the name of the outputs in a file that holds several tensors; null for the only one besides
            the row ids.
        rows: the name of the row ids, a tensor or a CSV column, in files that hold some public rows only.
    """

    kind: Literal["logits", "probabilities"]
    files: Pattern
    values: Text | None = None
    rows: Text = "rows"


class Defense(Part):
    """What clients did to their outputs before they were recorded, or while they learnt.

    Attributes:
        name: as `logitleak ls defense` calls it, or any other; of others nothing more is said than the name.
        settings: of the defense; those that are left out have its defaults.
        clients: whose defense it is, by number or name.
    """

    name: Text
    settings: dict[str, Any] = Field(default_factory=dict, max_length=_MOST_SETTINGS)
    clients: (
        Literal["all"] | Annotated[list[Client | int], Field(max_length=MOST_CLIENTS, fail_fast=True)]
    ) = "all"


class Server(Part):
    """The outputs of the server's own model on the public set, for every round: always logits, and all rows.

    Attributes:
        files: one file for each round, with {round}.
        values: as for the clients.
    """

    files: Pattern
    values: Text | None = None


class Public(Part):
    """The public set.

    Attributes:
        images: a folder of images; null where the public set is no images, but rows of a table or texts. Their outputs
            can be recorded; reconstructions need images.
        rows: N, where there are no images.
        table: a CSV file with a line for each image, and the columns file, label and domain ("sensitive" or
            "insensitive"), the last two of which may be missing. Without images there is a line for each row, in
            order, and no column file.
        order: which image is row 0, 1, ...: "sorted" by file name, in the order of the "table", or a list of
            file names. Everything that is rows long is in this order.
        image_size: images are cropped to the largest centered square and resized to this side in pixels; null
            where they are squares of one size already.
        labelled: whether the server knows the labels of the table. false (DS-FL) keeps them for scoring.
    """

    images: Inside | None = None
    rows: int | None = Field(default=None, ge=2, le=MOST_ROWS)
    table: Inside | None = None
    order: (
        Literal["sorted", "table"]
        | Annotated[list[Text], Field(min_length=1, max_length=MOST_ROWS, fail_fast=True)]
    ) = "sorted"
    image_size: int | None = Field(default=None, ge=11, le=512)
    labelled: bool = True

    @model_validator(mode="after")
    def _images_or_rows(self) -> Public:
        if (self.images is None) == (self.rows is None):
            raise ValueError(
                'needs "images", a folder, or "rows", how many there are of no images; one of both'
            )
        if self.rows is not None and (self.order != "sorted" or self.image_size is not None):
            raise ValueError('"order" and "image_size" are of images; rows are in the order of the table')
        return self


class Game(Part):
    """Which targets took part and which were withheld, so that the leak can be told. Coins must have decided it.

    Attributes:
        in: targets whose images the clients used, by number or name.
        out: targets whose images nobody used. Targets in neither list always took part and are outside the game.
        share: the probability with which an independent coin withheld each of them; null where nobody says. A bound on
            epsilon needs it.
    """

    inside: Targets = Field(alias="in")
    outside: Targets = Field(alias="out")
    share: float | None = Field(default=None, gt=0, lt=1)


class Private(Part):
    """What only those know who own the data: attacks never see it, scores need it.

    Attributes:
        images: a folder with a folder of images for each target, called by its number or name; left out where the
            public rows are no images.
        owners: the client that holds each target's images, by number or name of the target; for a target that
            was withheld the client that would hold them.
        game: who was in and who was out; null where everybody took part.
    """

    images: Inside | None = None
    owners: Annotated[dict[Text, Client | int], BeforeValidator(_check_owners)] | None = None
    game: Game | None = None


def short(value: Any) -> str:
    """A value of a stranger, cut to what fits into a line."""
    return reprlib.repr(value)[:80]
