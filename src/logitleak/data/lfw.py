"""Labeled Faces in the Wild, deep-funneled (Huang et al.)."""

from __future__ import annotations

from logitleak.data.base import Origin
from logitleak.data.decode import Crop
from logitleak.data.published import PublishedSet

FACE = Crop(top=69, bottom=197, left=61, right=189)
"""The face in the aligned 250×250 frame."""


class LFW(PublishedSet):
    """``root/<Name>/<Name>_0001.jpg``; masks are painted on, since the set has none."""

    layout = "root/<Name>/<Name>_0001.jpg, the deep-funneled images of 250x250 pixels"
    window = FACE
    origin = Origin(
        title="Labeled Faces in the Wild, deep-funneled",
        published="Huang, Ramesh, Berg and Learned-Miller, University of Massachusetts, Amherst, technical "
        'report 07-49 (2007), "LFW deep-funneled" on the project page http://vis-www.cs.umass.edu/lfw/',
        terms="meant for research; see the terms of the publisher",
        people=5749,
        images=13233,
    )
