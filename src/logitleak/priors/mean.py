"""The mean prior (Eq. 8): one image for all labels."""

from __future__ import annotations

import torch
from torch import Tensor

from logitleak.errors import UserError
from logitleak.priors.base import Prior
from logitleak.types import Knowledge


class MeanPrior(Prior):
    """The mean of the sensitive public images D_0; the only prior an unlabelled public set allows."""

    def estimate(self, knowledge: Knowledge, labels: Tensor) -> Tensor:
        public = knowledge.public
        rows = public.rows("sensitive")
        if len(rows) == 0:
            raise UserError("The mean prior needs sensitive public images (D_0), and there are none.")
        total = torch.zeros(public.images.shape[1:], dtype=torch.float64)
        for chunk in rows.split(1024):  # bounded memory: a public set may hold tens of thousands of images
            total += public.images[chunk].sum(0, dtype=torch.int64)
        mean = (total / (255 * len(rows))).to(torch.float32)
        return mean.expand(len(labels), *mean.shape).clone()
