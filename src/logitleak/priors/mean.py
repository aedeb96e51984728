"""The mean prior (Eq. 8): one image for all labels."""

from __future__ import annotations

from torch import Tensor

from logitleak.errors import UserError
from logitleak.priors.base import Prior
from logitleak.priors.domains import mean_image
from logitleak.types import Knowledge


class MeanPrior(Prior):
    """The mean of the sensitive public images D_0; the only prior an unlabelled public set allows."""

    def estimate(self, knowledge: Knowledge, labels: Tensor) -> Tensor:
        rows = knowledge.public.rows("sensitive")
        if len(rows) == 0:
            raise UserError("The mean prior needs sensitive public images (D_0), and there are none.")
        mean = mean_image(knowledge.public, rows)
        return mean.expand(len(labels), *mean.shape).clone()
