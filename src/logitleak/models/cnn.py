"""The paper's classifier (Code 1 of its appendix B)."""

from __future__ import annotations

from torch import Tensor, nn

from logitleak.models.base import Classifier


class CNN(Classifier):
    """Convolution 3→32 (3×3, no padding), ReLU, max-pool 3×3, one linear layer.

    Pooling comes before the ReLU here: both are monotone, so they commute, and nine times fewer values
    pass the ReLU.
    """

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        height, width = (side - 2 for side in image_size)
        self.features = nn.Sequential(nn.Conv2d(3, 32, 3), nn.MaxPool2d(3), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(32 * (height // 3) * (width // 3), num_classes)

    def logits(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.features(x))
        return out
