"""A whole run, federation and attack, against the rival on the same images: FedMD and PLI as the paper has them.

    python benchmarks/whole_run.py [--root FOLDER_OF_ATT] [--clients 4] [--out FOLDER]

AT&T faces (40 people, 8 targets) where their folder is given, synthetic people otherwise. The paper's settings: T = 5,
width 1024, batch 8, lr 3e-5, 3 epochs a round, tau = 3, gamma = 0.03. Then the same attack in bfloat16, in
bfloat16 with batch 32, and ridge in its place.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import rival
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import logitleak
from logitleak.metrics.attack import references
from logitleak.sealed.files import read_truth
from logitleak.sealed.truth import GroundTruth
from logitleak.types import PublicData
from logitleak.wire.transcript import Transcript

PAPER = {"width": 1024, "lr": 3e-5, "epochs": 3, "tau": 3.0, "gamma": 0.03}
VARIANTS: dict[str, dict[str, Any]] = {
    "pli": {"attack": "pli", "settings": PAPER},
    "pli-bf16": {"attack": "pli", "settings": {**PAPER, "precision": "bf16"}},
    "pli-bf16-batch-32": {
        # four times fewer steps, each with a rate √4 times as large: Adam's usual rule
        "attack": "pli",
        "settings": {**PAPER, "precision": "bf16", "batch": 32, "lr": 6e-5},
    },
    "ridge": {"attack": "ridge", "settings": {}},
}
ROUNDS = 5


def ours(root: str | None, clients: int, out: Path, seed: int) -> dict[str, dict[str, float]]:
    """Seconds and results of every variant; the federation is the same for all."""
    att: dict[str, Any] = {"source": "att", "root": root, "targets": 8, "held_out": 0.0}
    att |= {"protocol": "half-degraded", "degradation": "blur"}
    made_up = {"source": "synthetic", "targets": 8, "max_images": 10, "identities": 40}
    data = att if root else made_up
    config = {
        "seed": seed,
        "data": data,
        "federation": {"clients": clients, "rounds": ROUNDS},
        "attacks": VARIANTS,
        "device": "cpu",
    }
    shutil.rmtree(out, ignore_errors=True)
    result = logitleak.run(config, out)
    timings = json.loads((out / "timings.json").read_text())
    federation = timings["federation_seconds"]
    return {
        name: {
            "federation": federation,
            "attack": timings[f"attack_{name}_seconds"],
            "accuracy": result.accuracy(name),
            "ssim": result.metrics["attacks"][name]["mean"]["ssim"],
        }
        for name in VARIANTS
    }


def theirs(out: Path, clients: int) -> dict[str, float]:
    """The rival on the images of a run of ours."""
    torch.manual_seed(0)
    view, truth = Transcript(out), read_truth(out / "sealed")
    start = time.perf_counter()
    uploads, own = federation(view.knowledge.public, truth, clients, view.knowledge.num_classes)
    federated = time.perf_counter()
    public = view.knowledge.public
    sensitive = torch.nonzero(public.sensitive).flatten()
    images = torch.stack([(public.images[i].float() / 255 - 0.5) / 0.5 for i in sensitive.tolist()])
    targets = view.knowledge.target_labels
    found = torch.stack(
        [invert_client([u[k] for u in uploads], own, sensitive, images, targets) for k in range(clients)]
    )
    chosen = torch.tensor([choose(found[:, j]) for j in range(len(targets))])
    best = found[chosen, torch.arange(len(targets))]
    attacked = time.perf_counter()
    known = references(truth, public)
    similarity = torch.tensor(
        [[rival.ssim(image, other) for other in torch.cat([known.private, known.public])] for image in best]
    )
    return {
        "federation": federated - start,
        "attack": attacked - federated,
        "accuracy": float((similarity.argmax(1) == torch.arange(len(targets))).float().mean()),
        "ssim": float(similarity.diagonal().mean()),
    }


def federation(
    public: PublicData, truth: GroundTruth, clients: int, classes: int
) -> tuple[list[list[Tensor]], list[Tensor]]:
    """FedMD: every round's uploads, and the server's own logits."""
    models = [rival.classifier(classes) for _ in range(clients + 1)]
    adams = [torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4) for model in models]
    assert public.labels is not None
    shared = rival.Images(public.images, public.labels)
    private = [rival.Images(truth.client(k).images, truth.client(k).labels) for k in range(clients)]

    def learn(k: int, data: rival.Images, loss: Callable[[Tensor, Tensor], Tensor], epochs: int) -> None:
        for _ in range(epochs):
            rival.train(models[k], adams[k], data, loss, 64)

    for k in range(clients):
        learn(k, shared, F.cross_entropy, 5)
        learn(k, private[k], F.cross_entropy, 5)
    uploads, own = [], []
    for _ in range(ROUNDS):
        uploads.append([rival.predict(models[k], shared) for k in range(clients)])
        consensus = rival.Images(public.images, torch.stack(uploads[-1]).mean(0))
        for k in range(clients):
            if clients > 1:
                learn(k, consensus, F.l1_loss, 1)
            learn(k, private[k], F.cross_entropy, 1)
        learn(clients, shared, F.cross_entropy, 1)
        own.append(rival.predict(models[clients], shared))
    return uploads, own


def invert_client(
    uploads: Sequence[Tensor], own: Sequence[Tensor], rows: Tensor, images: Tensor, targets: Tensor
) -> Tensor:
    """PLI on one client's uploads: images [T, 3, 64, 64] in [0, 1] of every target."""
    classes = uploads[0].shape[1]
    network = rival.inversion(2 * classes)
    adam = torch.optim.Adam(network.parameters(), lr=PAPER["lr"], weight_decay=1e-4)
    prior, gamma, tau = images.mean(0), PAPER["gamma"], PAPER["tau"]
    e = torch.tensor(1 / 5.0).exp()
    server = (torch.eye(classes)[targets] * (e - 1) + 1) / (classes - 1 + e)
    wanted = torch.cat([server, torch.eye(classes)[targets]], 1)[:, :, None, None]
    for theirs, mine in zip(uploads, own, strict=True):
        pairs = torch.cat([torch.softmax(mine[rows] / tau, 1), torch.softmax(theirs[rows] / tau, 1)], 1)
        loader = DataLoader(TensorDataset(pairs, images), 8, shuffle=True)
        for _ in range(int(PAPER["epochs"])):
            epoch(network, adam, loader, prior, gamma)
            adam.zero_grad()
            (gamma * F.mse_loss(network(wanted), prior.expand(len(targets), -1, -1, -1))).backward()
            adam.step()
    with torch.no_grad():
        return (network.eval()(wanted) + 1) / 2


def epoch(
    network: nn.Module,
    adam: torch.optim.Optimizer,
    loader: DataLoader[tuple[Tensor, ...]],
    prior: Tensor,
    gamma: float,
) -> None:
    """Eq. 3 once over the pairs."""
    for z, x in loader:
        made = network(z[:, :, None, None])
        loss = F.mse_loss(made, x) + gamma * F.mse_loss(made, prior.expand_as(made))
        adam.zero_grad()
        loss.backward()
        adam.step()
        loss.item()


def choose(images: Tensor) -> int:
    """Eq. 11 for one target, from the clients' images [K, 3, 64, 64]."""
    scores = []
    for k, image in enumerate(images):
        others = [rival.ssim(image, other) for i, other in enumerate(images) if i != k]
        variation = (image[:, 1:] - image[:, :-1]).abs().mean() + (
            image[..., 1:] - image[..., :-1]
        ).abs().mean()
        scores.append(sum(others) / max(1, len(others)) + 0.1 * float(variation))
    return scores.index(min(scores))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", help="the folder with s1 to s40")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/whole-run"))
    given = parser.parse_args()
    rows = ours(given.root, given.clients, given.out, given.seed)
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn")
    ) as pool:  # nothing of ours is switched on there
        rows["rival"] = pool.submit(theirs, given.out, given.clients).result()
    table = Table(
        "",
        "federation s",
        "attack s",
        "whole, times the rival",
        "attack, times the rival",
        "accuracy",
        "SSIM",
    )
    other = rows["rival"]
    for name, row in rows.items():
        whole = (other["federation"] + other["attack"]) / (row["federation"] + row["attack"])
        table.add_row(
            name, f"{row['federation']:.1f}", f"{row['attack']:.1f}", f"{whole:.1f}",
            f"{other['attack'] / row['attack']:.1f}", f"{row['accuracy']:.0%}", f"{row['ssim']:.2f}",
        )  # fmt: skip
    Console(width=130).print(table)
    (given.out / "whole-run.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
