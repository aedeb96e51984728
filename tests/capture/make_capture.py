"""A small capture, and ways to change it: six people of four public images each, two clients, two rounds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

PEOPLE, IMAGES, SIDE = 6, 4, 16
N, J = PEOPLE * IMAGES, PEOPLE
LABELS = np.repeat(np.arange(PEOPLE), IMAGES)

DESCRIPTION: dict[str, Any] = {
    "format": 1,
    "title": "A pilot",
    "scheme": "fedmd",
    "classes": J,
    "clients": ["a", "b"],
    "rounds": 2,
    "targets": [0, 1],
    "uploads": {"kind": "logits", "files": "logits/{round}-{client}.npz"},
    "server": {"files": "logits/{round}-server.npz"},
    "public": {"images": "public", "table": "public.csv"},
    "private": {"images": "private", "owners": {"0": "a", "1": "b"}},
}


def logits(*seed: int, rows: int = N) -> np.ndarray[Any, Any]:
    """Outputs of a model that knows its public images, float32 [rows, J]."""
    values = np.random.default_rng(seed).normal(size=(rows, J)).astype(np.float32)
    values[np.arange(rows), LABELS[:rows]] += 4
    return values


def softmax(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    shares = np.exp(values - values.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def draw(path: Path, person: int, number: int, side: int = SIDE) -> None:
    """A picture of nobody: stripes of a person's own, a little shifted."""
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [np.sin((2 + person) * (x * c + y * (1 - c)) * 3 + number / 9 + c) for c in (0.2, 0.5, 0.9)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.stack(waves, -1) * 120 + 128).astype(np.uint8)).save(path)


def make(folder: Path) -> Path:
    """Write the capture."""
    lines = ["file,label,domain"]
    for person in range(PEOPLE):
        for number in range(IMAGES):
            draw(folder / "public" / f"{person}-{number}.png", person, number)
            domain = "insensitive" if person < 2 else "sensitive"
            lines.append(f"{person}-{number}.png,{person},{domain}")
    for person in (0, 1):
        for number in range(3):
            draw(folder / "private" / str(person) / f"{number}.png", person, 20 + number)
    (folder / "public.csv").write_text("\n".join(lines) + "\n")
    (folder / "logits").mkdir()
    for round in (1, 2):
        for index, who in enumerate(("a", "b", "server")):
            np.savez(folder / "logits" / f"{round}-{who}.npz", logits=logits(round, index))
    describe(folder)
    return folder


def describe(folder: Path, **changes: Any) -> None:
    """Write the description. Changes are dotted with two underscores; None takes a setting out."""
    described = copy.deepcopy(DESCRIPTION)
    for name, value in changes.items():
        *parents, last = name.split("__")
        at = described
        for parent in parents:
            at = at[parent]
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    (folder / "capture.yaml").write_text(yaml.safe_dump(described, sort_keys=False))


def outputs(folder: Path, name: str, **arrays: np.ndarray[Any, Any]) -> None:
    """Replace a file of outputs, such as 1-a."""
    np.savez(folder / "logits" / f"{name}.npz", **arrays)
