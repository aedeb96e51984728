"""Synthetic people as a data source: the pack that ships with the tool, or a rendered folder."""

from __future__ import annotations

from typing import Literal

import numpy as np

from logitleak.data.base import Dataset, DataSource, ImageSet, SourceSettings, Survey, existing_folder
from logitleak.data.folder import count_images, read_identities
from logitleak.errors import UserError


class SyntheticSettings(SourceSettings):
    """Settings of the synthetic source.

    Attributes:
        insensitive: the domain that is public for everybody.
    """

    insensitive: Literal["young", "masked"] = "young"


class Synthetic(DataSource):
    """Rendered people in the domains adult, young and masked; 120 of them ship with the tool."""

    Settings = SyntheticSettings
    settings: SyntheticSettings
    needs_root = False
    layout = "root/adult/<identity>/<image>, root/young/… and root/masked/…, as `logitleak data synth` writes"

    def load(self) -> Dataset:
        sensitive, insensitive = self._domain("adult"), self._domain(self.settings.insensitive)
        return Dataset(f"synthetic people (adult, {self.settings.insensitive})", True, sensitive, insensitive)

    def survey(self) -> Survey:
        domains = ("adult", self.settings.insensitive)
        if self.root is not None:
            return Survey(*(count_images(existing_folder(self.root / domain)) for domain in domains))
        from logitleak.people.pack import pack_index

        names, count, side = pack_index()
        self._check_side(side)
        return Survey(*(dict.fromkeys(names, count) for _ in domains))

    def _domain(self, domain: str) -> ImageSet:
        if self.root is not None:
            return read_identities(existing_folder(self.root / domain), self.image_size)
        from logitleak.people.pack import load_pack

        pack = load_pack(domain)
        self._check_side(pack.images.shape[1])
        names = [pack.names[label] for label in pack.labels]
        counts: dict[str, int] = {}
        files = []
        for name in names:
            files.append(f"{domain}/{name}/{counts.get(name, 0):03d}")
            counts[name] = counts.get(name, 0) + 1
        return ImageSet(np.ascontiguousarray(pack.images.transpose(0, 3, 1, 2)), names, files)

    def _check_side(self, side: int) -> None:
        if side != self.image_size:
            raise UserError(
                f"The synthetic people that ship with the tool are {side}x{side}; set data.image_size to {side}, "
                "or render others with `logitleak data synth`."
            )
