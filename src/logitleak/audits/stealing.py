"""How much of a client's model its uploads give away: substitutes that are trained on them.

A substitute is a student of one round's uploads, or of the history of rounds (after arXiv 2606.08252). It agrees with
the client's model on images that neither was trained on more than the server's own model does, or than a student of the
public labels: else nothing but the public set was stolen.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from logitleak.audits.base import Asked, Audit
from logitleak.types import ServerView


class Stealing(Audit):
    """Says what substitutes answer on images that the models are compared on."""

    answer = "agreement"
    question = "How much of the model itself is given away?"
    needs_images = True
    needs_candidates = True
    assumptions = ("The server trains substitutes of the clients' architecture on what they uploaded.",)

    def probe(self, view: ServerView, asked: Asked) -> Mapping[str, Tensor]:
        """See `Audit.probe`: students by name, the last round's first; of "public labels" and "server" one model stands
        for all clients."""
        said = {**asked.students, **asked.rivals}
        return {name: outputs.argmax(2).expand(view.clients, -1) for name, outputs in said.items()}

    def refusal(self, view: ServerView, asked: Asked) -> str | None:
        """See `Audit.refusal`."""
        if why := super().refusal(view, asked):
            return why
        return None if asked.students else "It needs substitutes, and none were trained; leave out --fast."
