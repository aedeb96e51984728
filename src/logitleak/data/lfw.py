"""Labeled Faces in the Wild, deep-funneled (Huang et al.)."""

from __future__ import annotations

from logitleak.data.base import Dataset, DataSource, Survey
from logitleak.data.decode import Crop
from logitleak.data.folder import count_images, read_identities

FACE = Crop(top=69, bottom=197, left=61, right=189)
"""The face in the aligned 250×250 frame."""


class LFW(DataSource):
    """``root/<Name>/<Name>_0001.jpg``; masks are painted on, since the set has none."""

    layout = "root/<Name>/<Name>_0001.jpg, the deep-funneled images of 250x250 pixels"

    def load(self) -> Dataset:
        assert self.root is not None
        images = read_identities(self.root, self.image_size, FACE)
        return Dataset("Labeled Faces in the Wild, deep-funneled", False, images)

    def survey(self) -> Survey:
        assert self.root is not None
        return Survey(count_images(self.root))
