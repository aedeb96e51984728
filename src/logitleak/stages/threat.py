"""The threat model of a run, in words; it is printed with every result."""

from __future__ import annotations

from typing import Any

from logitleak.transcript import Transcript
from logitleak.types import MODEL_KINDS

_UPLOADED = {
    "logits": "logits on the public images",
    "probabilities": "class probabilities (softmax outputs) on the public images",
    "weights": "model after local training",
    "gradients": "gradients of local training",
}


def threat_model(view: Transcript) -> dict[str, Any]:
    """Who attacks, what it sees and knows, and what it never sees."""
    public, kind = view.knowledge.public, view.manifest.uploads.kind
    labelled = "labelled" if public.labels is not None else "unlabelled"
    shares_models = kind in MODEL_KINDS
    knows = [
        f"The public set: {len(public)} {labelled} images, of which {int(public.sensitive.sum())} are "
        "sensitive-domain images of people who are no targets.",
        f"Which {len(view.knowledge.target_labels)} of {view.knowledge.num_classes} labels are private targets.",
        "Which public images are of the sensitive domain and which of the insensitive one.",
        "The model that it sends out in every round." if shares_models
        else "A model of its own, trained without any private image.",
    ]  # fmt: skip
    images = "Private images." if shares_models else (
        "Private images, or anything computed from them but the clients' outputs on public images."
    )  # fmt: skip
    never = [images] if shares_models else [images, "Weights, gradients or architectures of client models."]
    return {
        "scheme": view.manifest.scheme,
        "adversary": "An honest-but-curious server: it follows the protocol and looks at what it receives.",
        "sees": [
            f"Each client's {_UPLOADED[kind]}, in each of {view.rounds} rounds.",
            "Which client sent them.",
        ],
        "knows": knows,
        "never_sees": [*never, "Which client holds which identity."],
    }
