"""Metrics of single images and pairs of images, all on [0, 1]."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from logitleak.metrics.ssim import ssim


class ImageMetric(ABC):
    """A number for each reconstruction beside its truth.

    Call it with reconstructions and truths, both [n, 3, H, W] in [0, 1]; the answer is [n].
    """

    @abstractmethod
    def __call__(self, images: Tensor, truth: Tensor) -> Tensor: ...


class SSIM(ImageMetric):
    """Structural similarity; 1 for equal images."""

    def __call__(self, images: Tensor, truth: Tensor) -> Tensor:
        return ssim(images, truth)


class MSE(ImageMetric):
    """Mean squared error; 0 for equal images."""

    def __call__(self, images: Tensor, truth: Tensor) -> Tensor:
        return (images - truth).square().mean((1, 2, 3))


class PSNR(ImageMetric):
    """Peak signal-to-noise ratio in dB with peak 1; capped at 100 dB, so that equal images stay finite."""

    def __call__(self, images: Tensor, truth: Tensor) -> Tensor:
        return -10 * torch.log10(MSE()(images, truth).clamp_min(1e-10))


class TV(ImageMetric):
    """Total variation of the reconstruction; the truth is not used."""

    def __call__(self, images: Tensor, truth: Tensor) -> Tensor:
        return total_variation(images)


def total_variation(images: Tensor) -> Tensor:
    """Mean |dx| plus mean |dy| of images [..., 3, H, W]: [...]."""
    dx = (images[..., :, 1:] - images[..., :, :-1]).abs().mean((-3, -2, -1))
    dy = (images[..., 1:, :] - images[..., :-1, :]).abs().mean((-3, -2, -1))
    return dx + dy
