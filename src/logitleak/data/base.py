"""What a data source gives: images of identities in a sensitive domain, and perhaps in an insensitive one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from logitleak.errors import UserError
from logitleak.strict import Strict

UNLABELLED = ""
"""The class of images that nobody labelled."""


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class ImageSet:
    """Images of one domain.

    Attributes:
        pixels: uint8 [n, 3, H, W]; may be a memory map.
        identities: the identity of each image, n of them.
        files: a stable name of each image, which seeds per-image randomness.
        skipped: files that were left out.
    """

    pixels: np.ndarray[Any, np.dtype[np.uint8]]
    identities: Sequence[str]
    files: Sequence[str]
    skipped: Sequence[Skipped] = ()

    def __len__(self) -> int:
        return len(self.identities)

    def by_identity(self) -> dict[str, list[int]]:
        """Row numbers of each identity, identities and rows in ascending order."""
        rows: dict[str, list[int]] = {}
        for row, identity in enumerate(self.identities):
            rows.setdefault(identity, []).append(row)
        return dict(sorted(rows.items()))


@dataclass(frozen=True)
class Dataset:
    """A loaded data set.

    Attributes:
        title: how to call it in a report.
        synthetic: whether the people in it are made up.
        sensitive: the domain that is private for targets.
        insensitive: the other domain, or None where a degradation must make it.
        public: a public set of the source's own, for the protocol "one-domain": of the same classes or of others, and
            of the class `UNLABELLED` where nobody labelled it. None where a share of the images is public.
    """

    title: str
    synthetic: bool
    sensitive: ImageSet
    insensitive: ImageSet | None = None
    public: ImageSet | None = None


@dataclass(frozen=True)
class Survey:
    """Images of each identity in the sensitive domain; where the source has them, those of the insensitive one and of a
    public set of its own."""

    sensitive: Mapping[str, int]
    insensitive: Mapping[str, int] | None = None
    public: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Origin:
    """Where a published data set comes from, and how large a complete copy is.

    Attributes:
        title: how to call it.
        published: authors, paper, and where to get it; one line.
        terms: under which terms, as far as the publisher states them; one line.
        people: identities in a complete copy.
        images: images in a complete copy, of all domains.
        each: images of every identity, where the set is regular enough to list them.
        note: what to know about copies that are not complete; one line.
    """

    title: str
    published: str
    terms: str
    people: int
    images: int
    each: Mapping[str, int] = field(default_factory=dict)
    note: str = "a part can be used as it is"


class SourceSettings(Strict):
    """Settings of a source; none by default."""


class DataSource(ABC):
    """A place that images come from.

    Args:
        settings: an instance of the class's ``Settings``.
        root: the folder of the data set, or None for what ships with the tool.
        image_size: side of the square images in pixels.

    Attributes:
        Settings: the pydantic model of its settings.
        needs_root: whether ``root`` must be given.
        layout: what the folder looks like, in one line.
        origin: where the set is published; None for sets that are made, or a user's own.
    """

    Settings: ClassVar[type[SourceSettings]] = SourceSettings
    needs_root: ClassVar[bool] = True
    layout: ClassVar[str]
    origin: ClassVar[Origin | None] = None

    def __init__(self, settings: Any, root: Path | None, image_size: int) -> None:
        self.settings = settings
        self.image_size = image_size
        if root is None and self.needs_root:
            raise self.wrong_folder(f"This data source needs a folder; set data.root ({self.layout}).")
        if root is not None and not root.is_dir():
            raise self.wrong_folder(no_folder(root))
        self.root = root

    def wrong_folder(self, message: str) -> UserError:
        """An error about the folder that also says where to get the set, since the user may have yet to."""
        if self.origin is None:
            return UserError(message)
        return UserError(f"{message} {self.origin.title} is published here: {self.origin.published}.")

    @abstractmethod
    def load(self) -> Dataset:
        """Read the data set, from its cache where there is one.

        Raises:
            UserError: the folder is not of the layout, or holds no usable image.
        """

    @abstractmethod
    def survey(self) -> Survey:
        """Count images without reading them, for `logitleak validate`.

        Raises:
            UserError: the folder is not of the layout, or holds no image.
        """


def existing_folder(path: Path) -> Path:
    """The path, if it is a folder.

    Raises:
        UserError: it is not.
    """
    if not path.is_dir():
        raise UserError(no_folder(path))
    return path


def no_folder(path: Path) -> str:
    """What is wrong with a path that is no folder."""
    if path.exists():
        return f"{path} is a file where a folder is wanted; check data.root."
    return f"There is no folder {path}; check data.root."
