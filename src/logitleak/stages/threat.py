"""The threat model of a run, in words; it is printed with every result."""

from __future__ import annotations

from typing import Any

from logitleak.transcript import Transcript

_UPLOADED = {"logits": "logits", "probabilities": "class probabilities (softmax outputs)"}


def threat_model(view: Transcript) -> dict[str, Any]:
    """Who attacks, what it sees and knows, and what it never sees."""
    public = view.knowledge.public
    labelled = "labelled" if public.labels is not None else "unlabelled"
    values = _UPLOADED[view.manifest.uploads.kind]
    return {
        "scheme": view.manifest.scheme,
        "adversary": "An honest-but-curious server: it follows the protocol and looks at what it receives.",
        "sees": [
            f"Each client's {values} on the public images, in each of {view.rounds} rounds.",
            "Which client sent them.",
        ],
        "knows": [
            f"The public set: {len(public)} {labelled} images, of which {int(public.sensitive.sum())} are "
            "sensitive-domain images of people who are no targets.",
            f"Which {len(view.knowledge.target_labels)} of {view.knowledge.num_classes} labels are private targets.",
            "Which public images are of the sensitive domain and which of the insensitive one.",
            "A model of its own, trained on the public set alone.",
        ],
        "never_sees": [
            "Private images, or anything computed from them but the clients' outputs on public images.",
            "Weights, gradients or architectures of client models.",
            "Which client holds which identity.",
        ],
    }
