"""Networks that tell images of a domain from translations.

They take images float [n, 3, H, W] in [−1, 1], sides multiples of 16, and give scores without bounds.
"""

from __future__ import annotations

import math

from torch import nn


class PatchDiscriminator(nn.Sequential):
    """PatchGAN (Isola et al., 2017): a score for each of many overlapping patches, [n, 1, h, w].

    Halving 4×4 convolutions f, 2f, 4f, then one of 8f and one of one channel at stride 1; leaky ReLU, and
    instance normalization on all but the first and the last. With three halvings a score sees 70×70 pixels.

    Args:
        filters: f; 64 in the paper.
        halvings: 3 in the paper; a small image is halved only down to 4×4.
        side: the smaller side of the images.
    """

    def __init__(self, filters: int, halvings: int, side: int) -> None:
        halvings = min(halvings, int(math.log2(side // 4)))
        channels = [filters * min(2**i, 8) for i in range(halvings + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, filters, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(1, halvings + 1):
            stride = 2 if i < halvings else 1
            layers += [
                nn.Conv2d(channels[i - 1], channels[i], 4, stride, 1),
                nn.InstanceNorm2d(channels[i]),
                nn.LeakyReLU(0.2),
            ]
        super().__init__(*layers, nn.Conv2d(channels[-1], 1, 4, 1, 1))


class GlobalDiscriminator(nn.Sequential):
    """One score for the whole image, [n, 1, 1, 1]: halvings down to at most 7 pixels, then one convolution over all.

    Args:
        filters: channels of the first layer.
        image_size: height and width.
    """

    def __init__(self, filters: int, image_size: tuple[int, int]) -> None:
        halvings = int(math.log2(min(image_size) // 4))
        channels = [filters * min(2**i, 8) for i in range(halvings)]
        layers: list[nn.Module] = [nn.Conv2d(3, filters, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(1, halvings):
            layers += [
                nn.Conv2d(channels[i - 1], channels[i], 4, 2, 1),
                nn.InstanceNorm2d(channels[i]),
                nn.LeakyReLU(0.2),
            ]
        height, width = (side // 2**halvings for side in image_size)
        super().__init__(*layers, nn.Conv2d(channels[-1], 1, (height, width)))
