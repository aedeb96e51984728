"""A federation on a table, recorded and audited: no image anywhere.

Ten classes of scikit-learn's digits, read as a table of 64 numbers, live at five clients, two at each. Before anything
is trained a fair coin withholds each class from its client, so that an audit can say what the private rows changed.
Clients and server share outputs on a public table, as in FedMD, and a `CaptureWriter` records them.

    python federation.py capture
    logitleak import capture --out runs/table
    logitleak audit runs/table
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from logitleak import CaptureWriter

CLIENTS, ROUNDS, CLASSES, SEED = 5, 3, 10, 4


def outputs(model: MLPClassifier, rows: np.ndarray) -> np.ndarray:
    """Class probabilities of all classes, also of those that the model has not seen."""
    found = np.full((len(rows), CLASSES), 1e-6)
    found[:, model.classes_] = model.predict_proba(rows)
    return found / found.sum(1, keepdims=True)


def train(rows: np.ndarray, labels: np.ndarray, seed: int) -> MLPClassifier:
    """A small network, trained from its seed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return MLPClassifier((32,), max_iter=40, random_state=seed).fit(rows, labels)


def main(folder: Path) -> None:
    """Run the federation and record it."""
    rng = np.random.default_rng(SEED)
    table = load_digits()
    order = rng.permutation(len(table.target))
    rows, labels = table.data[order] / 16, table.target[order]
    public = np.arange(len(rows)) < 600
    owner = rng.permutation(CLASSES) % CLIENTS  # of each class
    taking_part = rng.random(CLASSES) < 0.5  # the coins

    truth = {
        "owners": {str(label): int(owner[label]) for label in range(CLASSES)},
        "game": {
            "in": np.flatnonzero(taking_part).tolist(),
            "out": np.flatnonzero(~taking_part).tolist(),
            "share": 0.5,
        },
    }
    with CaptureWriter(
        folder, CLASSES, int(public.sum()), labels=labels[public], kind="probabilities", private=truth,
        title="scikit-learn's digits as a table", noun="class", synthetic=False,
    ) as record:  # fmt: skip
        consensus = labels[
            public
        ]  # what everybody learns of the public rows: their labels, then what all say
        for round in range(1, ROUNDS + 1):
            said = []
            for client in range(CLIENTS):
                own = ~public & (owner[labels] == client) & taking_part[labels]
                learnt = np.concatenate([rows[public], rows[own]]), np.concatenate([consensus, labels[own]])
                said.append(outputs(train(*learnt, seed=100 * round + client), rows[public]))
                record.upload(round, client, said[-1])
            record.server(round, np.log(outputs(train(rows[public], labels[public], round), rows[public])))
            consensus = np.mean(said, 0).argmax(1)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "capture"))
