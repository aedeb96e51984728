"""Deep leakage from gradients (Zhu et al., 2019), and the same with labels that were restored (Zhao et al., 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from logitleak.attacks.matching import GradientMatching, MatchingSettings, squared_distance

_ONE_STEP = "Gradients are of one step on few images: sums of many steps of local training are matched worse."


class DLGSettings(MatchingSettings):
    """The values of the authors' code.

    Attributes:
        lr: of L-BFGS.
        steps: of L-BFGS, each of up to ``evaluations`` of the cost.
        evaluations: in one step.
        line_search: whether steps are as long as strong Wolfe conditions want them to be. The original has none, and
            often diverges; then the dummies with the smallest cost are kept, which may be the first.
    """

    lr: PositiveFloat = 1.0
    steps: PositiveInt = 300
    evaluations: PositiveInt = 20
    line_search: bool = False


class DLG(GradientMatching):
    """Minimizes the squared distance of gradients over images and soft labels by L-BFGS, from normal noise."""

    Settings = DLGSettings
    settings: DLGSettings
    soft = True
    boxed = False
    assumptions = (*GradientMatching.assumptions, _ONE_STEP)

    def distance(self, found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
        return squared_distance(found, wanted)

    def optimizer(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        s = self.settings
        search = "strong_wolfe" if s.line_search else None
        return torch.optim.LBFGS(
            parameters, lr=s.lr, max_iter=s.evaluations, max_eval=s.evaluations, line_search_fn=search
        )

    @property
    def costs_a_step(self) -> int:
        return self.settings.evaluations

    def start(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        return 0.5 + 0.5 * torch.randn(shape, generator=generator)  # standard normal where the model takes it


class IDLG(DLG):
    """The same with the labels that the sign of the last layer's gradient gives away."""

    soft = False
