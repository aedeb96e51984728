"""Published sets of faces: a folder for each person, and perhaps the set's own folder around them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from logitleak.data.base import Dataset, DataSource, Origin, Survey
from logitleak.data.cache import load_images
from logitleak.data.decode import Window
from logitleak.data.folder import images_in, subfolders
from logitleak.errors import UserError


class PublishedSet(DataSource):
    """One sensitive domain in ``root/<identity>/<image>``, or one folder deeper as archives unpack.

    Class attributes:
        origin: where the set is published, and how large it is.
        window: the part of an image that is used; None for the largest centered square.
        inner: names of folders inside a person's folder, which are never people.
    """

    origin: ClassVar[Origin]
    window: ClassVar[Window | None] = None
    inner: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, settings: Any, root: Path | None, image_size: int) -> None:
        super().__init__(settings, root, image_size)
        assert self.root is not None
        self.folder = unpacked(self.root, self.inner)

    def load(self) -> Dataset:
        images = load_images(self.folder, self.files(), self.image_size, self.window)
        return Dataset(self.origin.title, False, images)

    def survey(self) -> Survey:
        return Survey(dict(Counter(identity for identity, _ in self.files())))

    def files(self) -> list[tuple[str, Path]]:
        """(identity, path) of every sensitive image, by name.

        Raises:
            UserError: the folder is not of the layout.
        """
        files = [(person.name, path) for person in subfolders(self.folder) for path in images_in(person)]
        names = {identity for identity, _ in files}
        if not files or (self.origin.each and names.isdisjoint(self.origin.each)):
            raise self.no_images()
        return files

    def no_images(self, what: str = "images") -> UserError:
        """The error for a folder of another layout."""
        return self.wrong_folder(f"{self.root} holds no {what} in this layout: {self.layout}.")


def unpacked(root: Path, inner: frozenset[str] = frozenset()) -> Path:
    """The folder that holds the people: the root, or the set's own folder where that is all there is in it.

    Args:
        root: the folder the user names.
        inner: names of folders inside a person's folder; a folder that holds only those is a person's.
    """
    while True:
        folders = subfolders(root)
        if len(folders) != 1 or images_in(root) or images_in(folders[0]):
            return root
        if not {folder.name for folder in subfolders(folders[0])} - inner:
            return root
        root = folders[0]
