"""Any folder of people: ``root/<identity>/<image>``."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from logitleak.data.base import (
    Dataset,
    DataSource,
    ImageSet,
    Skipped,
    SourceSettings,
    Survey,
    existing_folder,
)
from logitleak.data.cache import load_images
from logitleak.data.decode import SUFFIXES, Window
from logitleak.data.links import check_apart, once
from logitleak.errors import UserError


class FolderSettings(SourceSettings):
    """Settings of the folder source.

    Attributes:
        insensitive: a second folder of the same layout with the insensitive domain; without it a
            degradation makes that domain.
        synthetic: whether the people are made up; it is said in the report.
    """

    insensitive: Path | None = None
    synthetic: bool = False


class Folder(DataSource):
    """One folder for each identity, and images in it, at any depth."""

    Settings = FolderSettings
    settings: FolderSettings
    layout = "root/<identity>/<image>"

    def __init__(self, settings: Any, root: Path | None, image_size: int) -> None:
        super().__init__(settings, root, image_size)
        if self.settings.insensitive is not None and self.root is not None:
            other, own = existing_folder(self.settings.insensitive).resolve(), self.root.resolve()
            if other.is_relative_to(own) or own.is_relative_to(other):
                raise UserError(
                    f"{other} and {own} overlap; sensitive and insensitive images need folders apart."
                )

    def load(self) -> Dataset:
        assert self.root is not None
        insensitive = None
        self._check_apart()
        if self.settings.insensitive is not None:
            insensitive = read_identities(existing_folder(self.settings.insensitive), self.image_size)
        sensitive = read_identities(self.root, self.image_size)
        return Dataset(self.root.resolve().name, self.settings.synthetic, sensitive, insensitive)

    def survey(self) -> Survey:
        assert self.root is not None
        other = self.settings.insensitive
        self._check_apart()
        return Survey(
            count_images(self.root), None if other is None else count_images(existing_folder(other))
        )

    def _check_apart(self) -> None:
        assert self.root is not None
        if self.settings.insensitive is not None:
            other = list_identities(existing_folder(self.settings.insensitive))
            check_apart(list_identities(self.root), other, "sensitive and insensitive")


def count_images(root: Path) -> dict[str, int]:
    """Image files of each identity.

    Raises:
        UserError: there is none.
    """
    return dict(Counter(identity for identity, _ in list_identities(root)))


def read_identities(root: Path, side: int, crop: Window | None = None) -> ImageSet:
    """All images of ``root/<identity>/…``, identities and files in order of their names.

    Images beside the folders, and names of an image that is there already, are left out and listed.

    Raises:
        UserError: the folder holds no identities, or no image that can be read.
    """
    files, repeats = once(root, _listed(root))
    return with_skipped(load_images(root, files, side, crop), [*repeats, *beside(root)])


def with_skipped(images: ImageSet, more: list[Skipped]) -> ImageSet:
    """Images, with more files that were left out."""
    return replace(images, skipped=[*images.skipped, *more])


def beside(root: Path) -> list[Skipped]:
    """That there are images beside the folders of a folder, if there are any."""
    count = len(images_in(root))
    if not count:
        return []
    lie = "1 image lies" if count == 1 else f"{count} images lie"
    return [Skipped(root.resolve().name, f"{lie} beside the folders, and nobody says what they show")]


def list_identities(root: Path) -> list[tuple[str, Path]]:
    """(identity, path) of every image file, once.

    Raises:
        UserError: there is none.
    """
    return once(root, _listed(root))[0]


def _listed(root: Path) -> list[tuple[str, Path]]:
    files = [(person.name, path) for person in subfolders(root) for path in images_in(person, "**/*")]
    if not files:
        hint = "put each person's images into a folder of its own"
        raise UserError(f"{root} holds no images in folders of identities; {hint} (root/<identity>/<image>).")
    return files


def subfolders(root: Path) -> list[Path]:
    """Folders in a folder, by name; without hidden ones, those that some archivers add, and links in a circle."""
    own = root.resolve()
    return sorted(
        p
        for p in root.iterdir()
        # a link to a folder above leads around in a circle
        if p.is_dir() and not p.name.startswith((".", "__MACOSX")) and not own.is_relative_to(p.resolve())
    )


def others_in(folder: Path) -> int:
    """How many files there are in a folder, at any depth, that are no images by their names; hidden ones aside."""
    return sum(
        path.is_file() and path.suffix.lower() not in SUFFIXES
        for path in folder.rglob("*")
        if not _hidden(path, folder)
    )


def images_in(folder: Path, pattern: str = "*") -> list[Path]:
    """Image files in a folder, by name; with ``"**/*"`` at any depth. None where there is no such folder."""
    return sorted(
        path
        for path in folder.glob(pattern)
        if path.suffix.lower() in SUFFIXES and not _hidden(path, folder) and path.is_file()
    )


def _hidden(path: Path, folder: Path) -> bool:
    """Whether a file, or a folder that it is in below this one, is hidden."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
