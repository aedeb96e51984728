"""A small public set: six identities in both domains, two targets in the insensitive one only."""

import torch

from logitleak.types import Knowledge, PublicData


def tiny_public(labelled: bool = True, side: int = 16, seed: int = 0) -> Knowledge:
    """Each identity has a pattern of its own; its D_a images are the pattern with the lower half gray."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.rand(8, 3, 4, 4, generator=generator)
    patterns = torch.nn.functional.interpolate(patterns, size=(side, side), mode="bilinear")
    labels = torch.cat([torch.arange(6).repeat(2), torch.arange(8).repeat(3)])
    sensitive = torch.arange(len(labels)) < 12
    images = patterns[labels] + 0.05 * torch.randn(len(labels), 3, side, side, generator=generator)
    images[12:, :, side // 2 :] = 0.5
    pixels = (255 * images.clamp(0, 1)).round().to(torch.uint8)
    return Knowledge(PublicData(pixels, labels if labelled else None, sensitive), torch.tensor([6, 7]), 8)


def without(known: Knowledge, drop: torch.Tensor) -> Knowledge:
    """The same without the rows that are marked."""
    public, keep = known.public, ~drop
    labels = None if public.labels is None else public.labels[keep]
    return Knowledge(
        PublicData(public.images[keep], labels, public.sensitive[keep]),
        known.target_labels,
        known.num_classes,
    )
