"""Images of any classes: folders of class folders, arrays, or a saved dataset. No second domain is needed (protocol
"one-domain")."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from logitleak.data.arrays import count_labels, is_arrays, read_arrays
from logitleak.data.base import UNLABELLED, Dataset, DataSource, ImageSet, Skipped, SourceSettings, Survey
from logitleak.data.cache import load_images
from logitleak.data.folder import (
    images_in,
    list_identities,
    others_in,
    read_identities,
    subfolders,
    with_skipped,
)
from logitleak.data.links import check_apart, once
from logitleak.data.saved import NO_SPLIT, Columns, count_saved, is_saved, read_saved, split_of, splits
from logitleak.errors import UserError

PRIVATE, PUBLIC = "private", "public"
"""Folders of a root that holds both sets."""


class ImagesSettings(SourceSettings):
    """Settings of the images source.

    Attributes:
        private: images and labels in one .npz or .safetensors file, in place of ``data.root``.
        public: the public set, where it is no share of the private one: a folder of class folders, a folder of images
            (then nobody labels them), an .npz or .safetensors file, or a dataset that was saved to disk.
        split, public_split: of a Hugging Face dataset that was saved to disk with several splits: the private one, and
            the public one. Null: "train", or the only one, and "test", where there is one; "none" for no public split.
        image_column, label_column: of such a dataset: the columns of images and labels; null for the only ones of their
            types.
        title: how to call these data; null for the name of the folder or file.
        synthetic: whether the images are made up; it is said in the report.
    """

    private: Path | None = None
    public: Path | None = None
    split: str | None = None
    public_split: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    title: str | None = None
    synthetic: bool = False


class Images(DataSource):
    """A folder for each class and images in it at any depth, or arrays; gray or color, of any size. Or a Hugging Face
    dataset that was saved to disk (the extra ``datasets``).

    Classes are in the order that people count in: 1, 2, 10. The public set may have other classes, or none. A root with
    two folders called ``private`` and ``public`` holds both sets.
    """

    Settings = ImagesSettings
    settings: ImagesSettings
    needs_root = False
    layout = (
        "root/<class>/<image>, or root/private/<class>/<image> and root/public/…, or a file of arrays, or a folder of "
        "save_to_disk"
    )

    def __init__(self, settings: Any, root: Path | None, image_size: int) -> None:
        super().__init__(settings, root, image_size)
        if (self.settings.private is None) == (self.root is None):
            raise UserError(
                "The images source needs a folder (data.root) or a file of arrays (data.settings.private), one of both."
            )
        own, public = self.settings.private or self.root, self.settings.public
        assert own is not None
        if self.root is not None and {PRIVATE, PUBLIC} <= {folder.name for folder in subfolders(self.root)}:
            if public is not None:
                raise UserError(f"{self.root} holds a public set already; leave data.settings.public out.")
            own, public = self.root / PRIVATE, self.root / PUBLIC
        own, public = self._splits(own, public)
        paths = [path for path in (own, public) if path is not None]
        for path in paths:
            if not path.is_dir() and not is_arrays(path):
                raise UserError(f"{path} is neither a folder nor an .npz or .safetensors file.")
        if self._columns != Columns() and not any(is_saved(path) for path in paths):
            raise UserError(
                f"{own} is no dataset that was saved to disk, and has no columns; leave data.settings.image_column and "
                "label_column out."
            )
        if public is not None:
            a, b = own.resolve(), public.resolve()
            if a.is_relative_to(b) or b.is_relative_to(a):
                raise UserError(f"{own} and {public} overlap; private and public images need folders apart.")
        self.own, self.public = own, public

    def load(self) -> Dataset:
        self._check_apart()
        inner = self.own.name == PRIVATE or splits(self.own.parent) is not None
        title = self.settings.title or (self.own.parent.name if inner else self.own.stem)
        public = None if self.public is None else self._read(self.public, flat=True)
        own = with_skipped(self._read(self.own, flat=False), self._unused())
        return Dataset(title, self.settings.synthetic, own, public=public)

    def survey(self) -> Survey:
        self._check_apart()
        public = None if self.public is None else self._count(self.public, flat=True)
        return Survey(self._count(self.own, flat=False), public=public)

    def _splits(self, own: Path, public: Path | None) -> tuple[Path, Path | None]:
        """The folders of the splits, where the folders are datasets that were saved to disk."""
        s, names = self.settings, splits(own)
        chosen = split_of(own, s.split, "train", "split")
        if public is not None:
            return chosen, split_of(public, s.public_split, "train", "public_split")
        if s.public_split == NO_SPLIT or (
            s.public_split is None and "test" not in {*(names or ())} - {chosen.name}
        ):
            return chosen, None
        return chosen, split_of(own, s.public_split, "test", "public_split")

    def _unused(self) -> list[Skipped]:
        """The splits that are neither private nor public."""
        used = {path.name for path in (self.own, self.public) if path and path.parent == self.own.parent}
        unused = sorted({*(splits(self.own.parent) or ())} - used)
        return [Skipped(name, "a split that is not used") for name in unused]

    @property
    def _columns(self) -> Columns:
        return Columns(self.settings.image_column, self.settings.label_column)

    def _check_apart(self) -> None:
        folders = [path for path in (self.own, self.public) if path and path.is_dir() and not is_saved(path)]
        if self.public is not None and len(folders) == 2:
            check_apart(_list(self.own, flat=False), _list(self.public, flat=True), "private and public")

    def _read(self, path: Path, flat: bool) -> ImageSet:
        if not path.is_dir():
            return read_arrays(path, self.image_size, labelled=not flat)
        if is_saved(path):
            return read_saved(path, self.image_size, self._columns, labelled=not flat)
        if flat and _is_flat(path):
            files, repeats = once(path, _unlabelled(path))
            found = with_skipped(load_images(path, files, self.image_size), repeats)
        else:
            found = read_identities(path, self.image_size)
        others = others_in(path)
        if not others:
            return found
        reason = f"{others} {'file is' if others == 1 else 'files are'} of no kind that is read"
        return with_skipped(found, [Skipped(path.name, reason)])

    def _count(self, path: Path, flat: bool) -> dict[str, int]:
        if not path.is_dir():
            return count_labels(path, labelled=not flat)
        if is_saved(path):
            return count_saved(path, self._columns, labelled=not flat)
        return dict(Counter(name for name, _ in _list(path, flat)))


def _is_flat(folder: Path) -> bool:
    """Whether a folder has no class folders, so that nobody labels its images."""
    return not any(images_in(inner, "**/*") for inner in subfolders(folder))


def _unlabelled(folder: Path) -> list[tuple[str, Path]]:
    files = [(UNLABELLED, path) for path in images_in(folder)]
    if not files:
        raise UserError(f"{folder} holds no images.")
    return files


def _list(folder: Path, flat: bool) -> list[tuple[str, Path]]:
    """(class, path) of every image, once."""
    return once(folder, _unlabelled(folder))[0] if flat and _is_flat(folder) else list_identities(folder)
