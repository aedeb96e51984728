"""FaceScrub (Ng and Winkler 2014): published as addresses of images, so copies differ in layout and in size."""

from __future__ import annotations

from pathlib import Path

from logitleak.data.base import Origin
from logitleak.data.folder import images_in, subfolders
from logitleak.data.published import PublishedSet

CROPS = frozenset({"face", "faces", "actor_faces", "actress_faces"})
"""Folders of face crops; downloaders write them beside the photographs they were cut from."""

GROUPS = CROPS | {"actors", "actresses", "images", "download"}
"""Folders around people's, or in them; never a person's name."""


class FaceScrub(PublishedSet):
    """A folder for each person, at the top or below folders of actors and actresses.

    Where there are face crops, the whole photographs beside them are not used.
    """

    layout = "root/<person>/<image>, also below actors/, actresses/, actor_faces/ and actress_faces/"
    inner = frozenset({"face"})
    origin = Origin(
        title="FaceScrub",
        published='Ng and Winkler, "A data-driven approach to cleaning large face datasets", ICIP 2014; lists of '
        "addresses on the project page http://vintage.winklerbros.net/facescrub.html",
        terms="see the terms of the publisher; the images belong to the sites they come from",
        people=530,
        images=106863,
        note="many of the published addresses are dead by now, so copies are smaller",
    )

    def files(self) -> list[tuple[str, Path]]:
        found: list[tuple[str, Path]] = []
        crops: list[tuple[str, Path]] = []
        for path in (path for top in subfolders(self.folder) for path in images_in(top, "**/*")):
            folders = path.relative_to(self.folder).parts[:-1]
            people = [name for name in folders if name not in GROUPS]
            if people:  # else it lies among the folders of people
                found.append((people[-1], path))
                if not CROPS.isdisjoint(folders):
                    crops.append((people[-1], path))
        if not found:
            raise self.no_images()
        return sorted(crops or found)
