"""What a degradation is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from logitleak.strict import Strict

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


class DegradationSettings(Strict):
    """Settings of a degradation; none by default."""


class Degradation(ABC):
    """Takes the identifying part out of images. The same file always gives the same result."""

    Settings: ClassVar[type[DegradationSettings]] = DegradationSettings

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def __call__(self, pixels: Pixels, files: Sequence[str]) -> Pixels:
        """Degrade images.

        Args:
            pixels: uint8 [n, 3, H, W].
            files: the name of each image, which seeds what varies from image to image.

        Returns:
            uint8 [n, 3, H, W], a new array.
        """
