"""The threat model of a run, in words; it is printed with every result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from logitleak.formats.federation import NOT_DRAWN
from logitleak.stages import aggregation, knowing
from logitleak.stages.aggregation import adversary
from logitleak.stages.defended import described
from logitleak.types import MODEL_KINDS
from logitleak.wire.transcript import Transcript

_UPLOADED = {
    "logits": "logits on the public {rows}",
    "probabilities": "class probabilities (softmax outputs) on the public {rows}",
    "weights": "model after local training",
    "gradients": "gradients of local training",
}


def threat_model(
    view: Transcript, recorded: bool = False, held: Mapping[int, Sequence[int]] | None = None
) -> dict[str, Any]:
    """Who attacks, what it sees and knows, and what it never sees.

    Args:
        view: the transcript.
        recorded: whether the federation ran elsewhere: then nothing is claimed but what the transcript holds.
        held: by client how many private images it has, in every world; None where the truth is not there.
    """
    if recorded:
        return _recorded(view)
    public, kind = view.knowledge.public, view.manifest.uploads.kind
    shares_models = kind in MODEL_KINDS
    knows = [
        f"The public set: {len(public)} {_labelled(view)} images, of which {int(public.sensitive.sum())} are "
        "sensitive-domain images of people who are no targets.",
        *_tells_apart(view),
        "The model that it sends out in every round." if shares_models
        else "A model of its own, trained without any private image.",
        *knowing.described(view),
    ]  # fmt: skip
    images = "Private images." if shares_models else (
        "Private images, or anything computed from them but the clients' outputs on public images."
    )  # fmt: skip
    if view.summed:
        images = images.replace("the clients' outputs", "the mean of the clients' outputs")
    never = [images] if shares_models else [images, "Weights, gradients or architectures of client models."]
    return {
        "scheme": view.manifest.scheme,
        "adversary": adversary(view),
        "sees": [
            *_uploads(view, _rounds(view)),
            *_drawn(view),
            *_participant(view),
            *described(view, held),
        ],
        "knows": knows,
        "never_sees": [*never, "Which client holds which identity."],
    }


def _recorded(view: Transcript) -> dict[str, Any]:
    """The threat model of a federation that ran elsewhere. What its server saw besides is not known here."""
    public, rows = view.knowledge.public, _rows_of(view)
    own = view.manifest.server_logits
    return {
        "scheme": view.manifest.scheme,
        "adversary": "An honest-but-curious server that has what was recorded and nothing else. The federation ran "
        "elsewhere: what its recording says of it was not checked.",
        "sees": [
            *_uploads(view, f"in {view.rounds} recorded rounds where it answered"),
            *(f"By its recording, which nobody checked: {line}" for line in described(view, recorded=True)),
        ],
        "knows": [
            f"The public set: {len(public)} {_labelled(view)} {rows}, of which {int(public.sensitive.sum())} were "
            "recorded as sensitive.",
            *_tells_apart(view),
            f"What a model of its own says of the public {rows}." if own
            else "No model of its own: none of its outputs were recorded.",
            *knowing.described(view),
        ],
        "never_sees": [
            f"Private {rows}: attacks read the transcript alone.",
            "Anything that was not recorded. The server of this federation may see more, such as weights.",
        ],
    }  # fmt: skip


def _rounds(view: Transcript) -> str:
    """In which rounds clients send something."""
    if drawn_in(view) is None:
        return f"in each of {view.rounds} rounds"
    return f"in those of {view.rounds} rounds for which it is drawn"


def _drawn(view: Transcript) -> list[str]:
    """How many clients take part in a round, where that is not everybody."""
    drawn = drawn_in(view)
    if drawn is None:
        return []
    return [
        f"Who takes part in which round: for each {drawn} of {view.parties} clients are drawn, and the server knows "
        "them."
    ]


def drawn_in(view: Transcript) -> int | None:
    """How many clients were drawn for a round; None where nothing was drawn."""
    absent = view.absent(1).get(view.manifest.uploads.action, {})
    idle = sum(reason == NOT_DRAWN for reason in absent.values())
    return view.parties - idle if idle else None


def _uploads(view: Transcript, rounds: str) -> list[str]:
    """What is seen of what clients sent."""
    outputs = _UPLOADED[view.manifest.uploads.kind].format(rows=_rows_of(view))
    if view.summed:
        return aggregation.described(view, outputs, drawn_in(view))
    return [f"Each client's {outputs}, {rounds}.", "Which client sent them."]


def _participant(view: Transcript) -> list[str]:
    """What somebody has who takes part and attacks."""
    if not view.manifest.participant:
        return []
    return [
        "Beside the server: a malicious participant, who sees the model of each round and nobody's update. It is "
        "active: it trains on images that it makes, under a label that is not theirs. The attack gan-attack is its own."
    ]


def _rows_of(view: Transcript) -> str:
    """What a public set is made of: images, or rows of something that has no picture."""
    return "images" if min(view.knowledge.public.image_size) else "rows"


def _labelled(view: Transcript) -> str:
    return "labelled" if view.knowledge.public.labels is not None else "unlabelled"


def _tells_apart(view: Transcript) -> list[str]:
    return [
        f"Which {len(view.knowledge.target_labels)} of {view.knowledge.num_classes} labels are private targets.",
        f"Which public {_rows_of(view)} are of the sensitive domain and which of the insensitive one.",
    ]
