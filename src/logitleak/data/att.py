"""AT&T (ORL) faces: 40 people, 10 gray images each (AT&T Laboratories Cambridge)."""

from __future__ import annotations

from logitleak.data.base import Origin
from logitleak.data.decode import Crop
from logitleak.data.published import PublishedSet


class ATT(PublishedSet):
    """``root/sN/M.pgm``, gray 92×112; the whole frame is resized, since a square would cut hair and chin."""

    layout = "root/s1/1.pgm to root/s40/10.pgm"
    window = Crop(top=0, bottom=112, left=0, right=92)
    origin = Origin(
        title="AT&T faces",
        published='AT&T Laboratories Cambridge, "The Database of Faces" (formerly the ORL Database of Faces); '
        "Samaria and Harter, Workshop on Applications of Computer Vision (1994)",
        terms="credit AT&T Laboratories Cambridge; see the terms of the publisher",
        people=40,
        images=400,
        each={f"s{person}": 10 for person in range(1, 41)},
    )
