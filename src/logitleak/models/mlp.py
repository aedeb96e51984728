"""A plain multilayer perceptron, for federations whose clients do not share an architecture."""

from __future__ import annotations

from torch import Tensor, nn

from logitleak.models.base import Classifier


class MLP(Classifier):
    """Pixels, one hidden layer of 512 with ReLU, logits."""

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        height, width = image_size
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(3 * height * width, 512), nn.ReLU(), nn.Linear(512, num_classes)
        )

    def logits(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out
