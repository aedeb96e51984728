"""AT&T (ORL) faces: 40 people, 10 gray images each (AT&T Laboratories Cambridge)."""

from __future__ import annotations

from logitleak.data.base import Dataset, DataSource, Survey
from logitleak.data.folder import count_images, read_identities


class ATT(DataSource):
    """``root/sN/M.pgm``, gray 92×112; the centered square is taken."""

    layout = "root/s1/1.pgm to root/s40/10.pgm"

    def load(self) -> Dataset:
        assert self.root is not None
        return Dataset("AT&T faces", False, read_identities(self.root, self.image_size))

    def survey(self) -> Survey:
        assert self.root is not None
        return Survey(count_images(self.root))
