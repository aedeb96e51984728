"""What federating buys: every client alone, and one model on everybody's images, beside the federation.

Without them nobody can judge what a defense costs. A client alone trains as long as it does in the federation, on the
public labels where the scheme uses them and on its own images; the central model does so on the images of all.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from logitleak.config import Config, FederationConfig
from logitleak.federation.bank import ModelBank
from logitleak.files.storage import read_tensors, write_tensors
from logitleak.metrics.leak import rounded
from logitleak.metrics.paired import paired_difference
from logitleak.metrics.proportion import share
from logitleak.progress import Progress
from logitleak.schemes.base import Epochs, Scheme
from logitleak.sealed.game import Game, taking_part
from logitleak.sealed.truth import GroundTruth, Split
from logitleak.stages.banks import bank_of, scheme_of
from logitleak.stages.folder import RunFolder, choose_device
from logitleak.stages.simulation import build_banks

CENTRAL = "central"


def train_baselines(
    config: Config, run: RunFolder, split: Split, game: Game | None, progress: Progress
) -> None:
    """Train all baselines of the first world, and keep what they say of held-out images; once."""
    if not config.baselines or run.baselines.exists():
        return
    scheme, truth, public = scheme_of(config.federation), split.truth, split.public
    used, kept = taking_part(truth, game)
    held = truth.held_images[kept]
    epochs = of_one_client(scheme, rounds_of_one(config.federation))
    groups, _ = build_banks(config, split, used)
    everybody = bank_of(
        config.federation, config.federation.model_of(0), [CENTRAL], public.image_size, split.num_classes, config.seed,
        choose_device(config.device),
    )  # fmt: skip
    progress.stage("baselines", len(groups) + 1)
    alone = torch.empty(config.federation.clients, len(held), dtype=torch.int64)
    for group in groups:
        _learn(group.bank, split, [d.images for d in group.data], [d.labels for d in group.data], epochs)
        for client, logits in zip(group.clients, group.bank.predict_each(held), strict=True):
            alone[client] = logits.argmax(1)
        progress.advance("clients alone")
    _learn(everybody, split, [truth.images[used]], [truth.labels[used]], epochs)
    central = everybody.predict(held)[0].argmax(1)
    progress.advance("one model on all images")
    write_tensors(run.baselines, {"alone": alone, CENTRAL: central})


def rounds_of_one(f: FederationConfig) -> int:
    """In how many rounds a client takes part, about."""
    return max(1, round(f.rounds * f.drawn / f.clients))


def of_one_client(scheme: Scheme, rounds: int) -> Epochs:
    """How long one more client trains in a federation; what it learns jointly counts for both sets."""
    two, three = scheme.planned_epochs(2, rounds), scheme.planned_epochs(3, rounds)
    joint = three.joint - two.joint
    return Epochs(
        three.labels - two.labels, three.public - two.public + joint, three.private - two.private + joint
    )


def _learn(bank: ModelBank, split: Split, images: list[Tensor], labels: list[Tensor], epochs: Epochs) -> None:
    public = split.public
    if epochs.labels and public.labels is not None:
        count = len(bank)
        bank.fit(
            [public.images] * count,
            [public.labels] * count,
            F.cross_entropy,
            epochs.labels,
            ("baseline", "public"),
        )
    bank.fit(images, labels, F.cross_entropy, epochs.private, ("baseline", "private"))


def compare(run: RunFolder, truth: GroundTruth, game: Game | None) -> dict[str, Any] | None:
    """Accuracy of clients alone, federated and central, on the held-out images of the first world.

    Returns:
        None where no baseline was trained. Else shares ``central`` and ``server``; for each of ``alone`` and
        ``federated`` the shares of each client on ``all`` held-out images and on those of the classes that it ``own``s;
        ``gain``: federated minus alone, over images of which each counts the mean over clients, with its interval; and
        ``by_class`` the same as counts.
    """
    if not (run.baselines.exists() and run.predicted.exists()) or len(truth.held_labels) == 0:
        return None
    used, kept = taking_part(truth, game)
    if not bool(kept.any()):
        return None
    labels = truth.held_labels[kept]
    said = {**read_tensors(run.baselines), **read_tensors(run.predicted)}
    right = {name: value == labels for name, value in said.items()}
    owns = [
        torch.isin(labels, truth.client(k, used).labels) for k in range(len(right["alone"]))
    ]  # which held-out images are of a client's own classes
    classes = torch.unique(labels)
    alone, federated = right["alone"], right["clients"]
    gain = paired_difference(federated.double().mean(0).tolist(), alone.double().mean(0).tolist())
    return {
        "central": share(right[CENTRAL].tolist()),
        "server": share(right["server"].tolist()),
        "alone": _shares(alone, owns),
        "federated": _shares(federated, owns),
        "gain": rounded(dict(gain)),
        "by_class": {
            "labels": classes.tolist(),
            "images": [int((labels == label).sum()) for label in classes],
            **{
                name: [
                    [int(row[labels == label].sum()) for label in classes]
                    for row in value.view(-1, len(labels))
                ]
                for name, value in (("alone", alone), ("federated", federated), (CENTRAL, right[CENTRAL]))
            },
        },
    }


def _shares(right: Tensor, owns: list[Tensor]) -> dict[str, Any]:
    """Shares of each client on all images and on those of its own classes; null where it has none."""
    return {
        "all": [share(row.tolist()) for row in right],
        "own": [
            share(row[mine].tolist()) if bool(mine.any()) else None
            for row, mine in zip(right, owns, strict=True)
        ],
    }
