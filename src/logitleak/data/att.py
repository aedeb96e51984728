"""AT&T (ORL) faces: 40 people, 10 gray images each (AT&T Laboratories Cambridge)."""

from __future__ import annotations

from logitleak.data.base import Dataset, DataSource, Survey
from logitleak.data.decode import Crop
from logitleak.data.folder import count_images, read_identities

FRAME = Crop(top=0, bottom=112, left=0, right=92)


class ATT(DataSource):
    """``root/sN/M.pgm``, gray 92×112; the whole frame is resized, since a square would cut hair and chin."""

    layout = "root/s1/1.pgm to root/s40/10.pgm"

    def load(self) -> Dataset:
        assert self.root is not None
        return Dataset("AT&T faces", False, read_identities(self.root, self.image_size, FRAME))

    def survey(self) -> Survey:
        assert self.root is not None
        return Survey(count_images(self.root))
