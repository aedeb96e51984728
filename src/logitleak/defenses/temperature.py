"""A softer softmax: everything is still said, only more quietly."""

from __future__ import annotations

from pydantic import PositiveFloat
from torch import Tensor

from logitleak.defenses.base import Defense, DefenseSettings


class TemperatureSettings(DefenseSettings):
    """Settings of the temperature.

    Attributes:
        tau: what logits are divided by; above 1 outputs are nearer to uniform.
    """

    tau: PositiveFloat = 3.0


class Temperature(Defense):
    """Divides logits by τ; probabilities become p^(1/τ), scaled to add up to 1.

    Whoever knows τ undoes it, up to the precision of the numbers: logits times τ, probabilities p^τ, scaled to add up
    to 1. What a sharper softmax (τ below 1) took below the smallest float32 stays lost.
    """

    Settings = TemperatureSettings
    settings: TemperatureSettings
    strengths = ({"tau": 2.0}, {"tau": 10.0}, {"tau": 100.0})
    undoing = "Outputs as the model said them: the temperature is taken off."

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        if self.kind == "logits":
            return values / self.settings.tau
        return (values.log() / self.settings.tau).softmax(-1)

    @property
    def linear(self) -> bool:
        """Of logits; the mean of softened probabilities is no softened mean."""
        return self.kind == "logits"

    def undo(self, values: Tensor) -> Tensor:
        """The outputs at temperature 1."""
        if self.kind == "logits":
            return values * self.settings.tau
        return (values.log() * self.settings.tau).softmax(-1)

    def sees(self) -> str:
        return f"Outputs at temperature {self.settings.tau:g}, which can be undone by who knows it."
