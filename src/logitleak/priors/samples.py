"""A picture of how far a translation is: rows of input, translation and the mean of the domain aimed at."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import nn

from logitleak.files.atomic import write_atomic
from logitleak.priors.domains import label_means, shared_labels
from logitleak.priors.translator import translate
from logitleak.types import Knowledge

ROWS = 8


def write_samples(path: Path, translator: nn.Module, knowledge: Knowledge, device: torch.device) -> None:
    """A PNG with one row for each of up to eight public identities that are no targets: an image of D_a, its
    translation, and the mean D_0 image of the identity. Nothing is written where no identity has both domains.
    """
    public = knowledge.public.labelled()
    labels = shared_labels(public)
    labels = labels[~torch.isin(labels, knowledge.target_labels)][:ROWS]
    if len(labels) == 0:
        return
    rows = public.rows("insensitive")
    first = torch.stack([rows[public.labels[rows] == label][0] for label in labels])
    columns = (
        public.pixels(first),
        translate(translator, public.images[first], device),
        label_means(public, "sensitive", labels),
    )
    grid = torch.stack(columns, 1)  # [rows, 3, C, H, W]
    picture = grid.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)  # [rows·H, 3·W, C]
    pixels = picture.mul(255).round().to(torch.uint8).numpy()
    write_atomic(path, lambda target: Image.fromarray(pixels).save(target, format="PNG"))
