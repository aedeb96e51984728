"""What an audit is: a question, a probe that answers it from a server's view, and the checks that all go through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from logitleak import registry
from logitleak.attacks.base import MEANING
from logitleak.errors import UserError
from logitleak.strict import Strict
from logitleak.types import MODEL_KINDS, ServerView

Answer = Literal["membership", "records", "shares", "agreement"]
"""What a probe's numbers are, and so how they are judged: scores of clients and targets [K, T]; scores of candidates
[n]; shares of classes [K, J]; or the labels that substitutes give to images [K, n]."""


class AuditSettings(Strict):
    """Settings that every audit has: none."""


@dataclass(frozen=True)
class Played:
    """A federation that the server played by itself, asked about the public people who played private ones in it. Who
    of them was in is no secret: the server threw those coins.

    Attributes:
        view: its targets are those people.
        inside: bool [K, M], that a client of the view trained on a person's images.
        outside: bool [K, M], that it did not, where it might have.
    """

    view: ServerView
    inside: Tensor
    outside: Tensor


@dataclass(frozen=True)
class Asked:
    """What an audit is asked about, beside what the server's view holds. It says nothing of who is in.

    Attributes:
        images: uint8 [n, 3, H, W], candidates of which somebody wants to know whether they were used, or images on
            which models are to be compared; there may be none.
        labels: int64 [n], what they show.
        clients: int64 [n], the client that each is asked about.
        replies: outputs on these images that a server got by asking, float32 [K, n, J] by round; none where it cannot
            ask for others than the public ones.
        students: outputs on these images of students that were distilled from each client's uploads, float32 [K, n, J],
            by what they learnt from.
        rivals: the same of models that stand for all clients, float32 [1, n, J]: of public labels, or the server's.
        lab: views of federations that the server played by itself with public people: nobody in them holds a private
            image of a target.
        people: the same federations, asked about the people who played private ones.
        why: why nothing is asked, in one line, where more is to be said of that than that there are no images.
    """

    images: Tensor
    labels: Tensor
    clients: Tensor
    replies: Mapping[int, Tensor] = field(default_factory=dict)
    students: Mapping[str, Tensor] = field(default_factory=dict)
    rivals: Mapping[str, Tensor] = field(default_factory=dict)
    lab: Sequence[ServerView] = ()
    people: Sequence[Played] = ()
    why: str | None = None

    @classmethod
    def nothing(cls, why: str | None = None) -> Asked:
        """No candidate, and no lab."""
        none = torch.empty(0, dtype=torch.int64)
        return cls(torch.empty(0, 3, 1, 1, dtype=torch.uint8), none, none, why=why)

    def __len__(self) -> int:
        return len(self.labels)


class Audit(ABC):
    """Answers one question about what clients gave away.

    A subclass writes `probe`. `ask` owns what is around it: what the view must have, and whether what comes out is what
    was promised.

    Args:
        settings: an instance of the class's ``Settings``.
        seed: the audits' seed, never a run's root seed.
        device: where it computes.

    Attributes:
        Settings: the pydantic model of its settings.
        answer: what its numbers are.
        question: in words.
        needs: what the view must provide; see `ServerView.provides`.
        assumptions: what it supposes the server to know or to do, in sentences.
        needs_images: whether it looks at public images. What does not works for captures of anything.
        needs_candidates: whether it is asked about images.
    """

    Settings: ClassVar[type[AuditSettings]] = AuditSettings
    answer: ClassVar[Answer]
    question: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    assumptions: ClassVar[tuple[str, ...]] = ()
    needs_images: ClassVar[bool] = False
    needs_candidates: ClassVar[bool] = False

    def __init__(self, settings: Any, seed: int = 0, device: torch.device | str = "cpu") -> None:
        self.settings = settings
        self.seed = seed
        self.device = torch.device(device)

    @abstractmethod
    def probe(self, view: ServerView, asked: Asked) -> Mapping[str, Tensor]:
        """The answers by variant, in a shape that ``answer`` names; higher scores say *member*. The first variant is
        the primary: it was named before anybody looks at the truth. Where nothing is known, nan."""

    def ask(self, view: ServerView, asked: Asked | None = None) -> dict[str, Tensor]:
        """What `probe` answers, checked.

        Returns:
            float64 tensors by variant, the primary first. "membership": [K, T]. "records": [n]. "shares": [K, J], rows
            sum to 1. "agreement": int64 [K, n].

        Raises:
            UserError: the view has not what this audit needs, or the audit gives something else than it says.
        """
        asked = Asked.nothing() if asked is None else asked
        if why := self.refusal(view, asked):
            raise UserError(why)
        found = dict(self.probe(view, asked))
        if not found:
            raise UserError(f"The audit {type(self).__name__} gives no answer; see Audit.probe.")
        return {variant: self._checked(value, view, asked, variant) for variant, value in found.items()}

    def refusal(self, view: ServerView, asked: Asked) -> str | None:
        """Why this audit cannot be done on a view, in one line; None where it can."""
        if view.upload_kind in MODEL_KINDS:
            return "It is an audit of outputs on a public set; these clients send models."
        for need in sorted(self.needs - view.provides):
            return f"It needs {MEANING[need]}, and there are none."
        if self.needs_images and min(view.knowledge.public.image_size) == 0:
            return "It needs the public images, and this public set holds none."
        if self.needs_candidates and len(asked) == 0 and asked.why is not None:
            return asked.why
        if self.needs_candidates and len(asked) == 0:
            wanted = (
                "images that nobody trained on, to compare models on them,"
                if self.answer == "agreement"
                else "images to ask about, used ones and held-out ones of the same classes,"
            )
            return f"It needs {wanted} and there are none; of a simulation, raise data.held_out."
        return None

    def _checked(self, value: Tensor, view: ServerView, asked: Asked, variant: str) -> Tensor:
        shape = {
            "membership": (view.clients, len(view.knowledge.target_labels)),
            "records": (len(asked),),
            "shares": (view.clients, view.knowledge.num_classes),
            "agreement": (view.clients, len(asked)),
        }[self.answer]
        who = f'The audit {type(self).__name__}, variant "{variant}",'
        if tuple(value.shape) != shape:
            raise UserError(
                f"{who} gives numbers of shape {tuple(value.shape)} and not {shape}; see Audit.probe."
            )
        if self.answer == "agreement":
            return value.to(torch.int64)
        value = value.to(torch.float64)
        if bool(value.isinf().any()):
            raise UserError(f"{who} gives infinite numbers; see Audit.probe.")
        if self.answer == "shares":
            sums = value.sum(1)[~value.isnan().any(1)]
            if bool((value < 0).any()) or bool(((sums - 1).abs() > 1e-6).any()):
                raise UserError(
                    f"{who} gives no shares: they are negative, or do not sum to 1; see Audit.probe."
                )
        return value


def create(
    audit: str,
    settings: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Audit:
    """Build a registered audit.

    Raises:
        UserError: an unknown name or setting, or a value out of range.
    """
    audit_class = registry.load("audit", audit)
    parsed = registry.settings(f"audit {audit}", audit_class.Settings, settings or {})
    made: Audit = audit_class(parsed, seed, device)
    return made
