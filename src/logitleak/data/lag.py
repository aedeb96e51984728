"""Large Age-Gap faces (Bianco 2017): adult images are sensitive, images of the same people when young are not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from logitleak.data.base import Dataset, Origin, SourceSettings, Survey
from logitleak.data.cache import load_images
from logitleak.data.decode import Center
from logitleak.data.folder import images_in, subfolders
from logitleak.data.published import PublishedSet

WINDOWS = {"center": Center(0.64), "resize": Center(1.0)}


class LAGSettings(SourceSettings):
    """Settings of the LAG source.

    Attributes:
        crop: "center" takes the middle 64 of 100 pixels (the same share of larger files), as the paper's
            published code does; "resize" resizes the whole frame, as its text says.
    """

    crop: Literal["center", "resize"] = "center"


class LAG(PublishedSet):
    """``root/<name>/*`` adult and ``root/<name>/y/*`` young; who lacks one of them is left out of a run."""

    Settings = LAGSettings
    settings: LAGSettings
    layout = "root/<name>/<image> adult, root/<name>/y/<image> young"
    inner = frozenset({"y"})
    origin = Origin(
        title="Large Age-Gap (LAG)",
        published='Bianco, "Large Age-Gap Face Verification by Feature Injection in Deep Networks", Pattern '
        "Recognition Letters 90 (2017); the 100x100 files on the project page "
        "http://www.ivl.disco.unimib.it/activities/large-age-gap-face-verification",
        terms="academic and non-commercial use only, no redistribution without permission",
        people=1010,
        images=3828,
    )

    def load(self) -> Dataset:
        window = WINDOWS[self.settings.crop]
        adult = load_images(self.folder, self.files(), self.image_size, window)
        young = load_images(self.folder, self._young(), self.image_size, window)
        return Dataset(self.origin.title, False, adult, young)

    def survey(self) -> Survey:
        counts = [dict(Counter(name for name, _ in files)) for files in (self.files(), self._young())]
        return Survey(*counts)

    def _young(self) -> list[tuple[str, Path]]:
        people = subfolders(self.folder)
        files = [(person.name, path) for person in people for path in images_in(person / "y")]
        if not files:
            raise self.no_images("images of young people")
        return files
