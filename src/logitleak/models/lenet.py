"""A LeNet-like network for images of 16 to 32 pixels (after LeCun et al., 1998)."""

from __future__ import annotations

from torch import Tensor, nn

from logitleak.models.base import Classifier


class LeNet(Classifier):
    """Two 5×5 convolutions of 6 and 16 channels with max-pooling, then linear layers of 120 and 84."""

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        height, width = (side // 4 for side in image_size)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(16 * height * width, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, num_classes),
        )  # fmt: skip

    def logits(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out
