"""The rival: the published recipe written as plainly as PyTorch allows. One client after the other, a `DataLoader`
over images kept in a list, the optimizer's defaults, a transposed convolution from a 1×1 map, and SSIM pair by pair.

It computes the same things as Logitleak from the same start, so results can be compared as well as times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler


class Images(Dataset[tuple[Tensor, Tensor]]):
    """Images as arrays [H, W, 3] of bytes, turned into tensors in [−1, 1] one by one, with their targets."""

    def __init__(self, images: Tensor, targets: Tensor) -> None:
        self.images = [image.permute(1, 2, 0).contiguous().numpy() for image in images]
        self.targets = targets

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        image = torch.from_numpy(self.images[row]).permute(2, 0, 1).float().div(255)
        return (image - 0.5) / 0.5, self.targets[row]


class Given(Sampler[int]):
    """Rows in an order that was drawn before."""

    def __init__(self, order: Tensor) -> None:
        self.order = order.tolist()

    def __iter__(self) -> Iterator[int]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)


def classifier(classes: int, side: int = 64) -> nn.Sequential:
    """Code 1 of the paper's appendix B."""
    pooled = (side - 2) // 3
    return nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(3),
        nn.Flatten(),
        nn.Linear(32 * pooled * pooled, classes),
    )


def inversion(inputs: int) -> nn.Sequential:
    """Code 2 of the paper's appendix B, for 64×64."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, 1024, 4), nn.BatchNorm2d(1024), nn.Tanh(),
        nn.ConvTranspose2d(1024, 512, 4, 2, 1), nn.BatchNorm2d(512), nn.Tanh(),
        nn.ConvTranspose2d(512, 256, 4, 2, 1), nn.BatchNorm2d(256), nn.Tanh(),
        nn.ConvTranspose2d(256, 128, 4, 2, 1), nn.BatchNorm2d(128), nn.Tanh(),
        nn.ConvTranspose2d(128, 3, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip


def train(
    model: nn.Module,
    adam: torch.optim.Optimizer,
    images: Images,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: int,
    order: Tensor | None = None,
) -> float:
    """One epoch; the mean of the batches' losses."""
    model.train()
    losses = []
    sampler = None if order is None else Given(order)
    for pixels, targets in DataLoader(images, batch, shuffle=order is None, sampler=sampler):
        adam.zero_grad()
        value = loss(model(pixels), targets)
        value.backward()
        adam.step()
        losses.append(value.item())
    return float(np.mean(losses))


@torch.no_grad()
def predict(model: nn.Module, images: Images, batch: int = 64) -> Tensor:
    """Logits [n, J]."""
    model.eval()
    return torch.cat([model(pixels) for pixels, _ in DataLoader(images, batch)])


def invert(
    network: nn.Module, adam: torch.optim.Optimizer, inputs: Tensor, images: Tensor, batches: Sequence[Tensor]
) -> None:
    """Steps of Eq. 2: inputs [n, d] as maps of one pixel, images [n, 3, H, W] in [−1, 1]."""
    network.train()
    for rows in batches:
        adam.zero_grad()
        value = F.mse_loss(network(inputs[rows][:, :, None, None]), images[rows])
        value.backward()
        adam.step()
        value.item()


def ssim(a: Tensor, b: Tensor) -> float:
    """SSIM of two images [3, H, W] in [0, 1], by convolution with the 11×11 window."""
    offsets = torch.arange(11) - 5.0
    line = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = torch.outer(line, line) / line.sum() ** 2

    def blurred(image: Tensor) -> Tensor:
        padded = F.pad(image[None], (5, 5, 5, 5), mode="reflect")
        return F.conv2d(padded, window.expand(3, 1, 11, 11), groups=3)

    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    cov = blurred(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + 0.01**2) * (2 * cov + 0.03**2)
    return float((top / ((mean_a**2 + mean_b**2 + 0.01**2) * (var_a + var_b + 0.03**2))).mean())


def ridge(z: Tensor, images: Tensor, targets: Tensor, lam: float) -> Tensor:
    """The linear inversion as a textbook has it: every pixel is one right-hand side, in float64 throughout."""
    features, pixels = z.double().numpy(), images.double().numpy()
    gram = features.T @ features
    system = gram + lam * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(system, features.T @ pixels)
    return torch.from_numpy(targets.double().numpy() @ weights)
