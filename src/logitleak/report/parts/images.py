"""Images that a run left behind: reconstructions in folders of attacks, truth and sides of a game in the gallery."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy import floating, integer
    from numpy.typing import NDArray

    Images = NDArray[floating[Any] | integer[Any]]
    """Floats in [0, 1], or uint8."""

ROUND_FILE = re.compile(r"round-(\d+)\.safetensors")


@dataclass(frozen=True)
class Sides:
    """An attack's chosen images in a game, by round: rebuilt where a target is in, and where it is out.

    A mask says for which targets there is such an image; None stands for all of them.
    """

    inside: dict[int, Images] = field(default_factory=dict)
    outside: dict[int, Images] = field(default_factory=dict)
    has_inside: list[bool] | None = None
    has_outside: list[bool] | None = None

    def last(self) -> tuple[Images | None, Images | None]:
        """Both stacks of the last round."""
        newest = max([*self.inside, *self.outside], default=0)
        return self.inside.get(newest), self.outside.get(newest)

    def pair(self, index: int) -> tuple[Images | None, Images | None]:
        """The two images of a target in the last round; None where there is none."""
        inside, outside = self.last()
        return _masked(inside, self.has_inside, index), _masked(outside, self.has_outside, index)


def _masked(stack: Images | None, mask: list[bool] | None, index: int) -> Images | None:
    there = mask is None or (index < len(mask) and mask[index])
    return at(stack, index) if there else None


def at(stack: Images | None, index: int) -> Images | None:
    """One image of a stack that may be missing or too short."""
    if stack is None or index >= len(stack):
        return None
    image: Images = stack[index]
    return image


def reconstructions(path: Path, notes: list[str]) -> tuple[Images | None, dict[int, Images]]:
    """What an attack left in its folder: every client's final images, and the chosen ones of every round."""
    final_file = path / "final.safetensors"
    final = tensor(final_file, "images", 5, notes) if final_file.is_file() else None
    rounds = {}
    for file in sorted(path.iterdir()):
        match = ROUND_FILE.fullmatch(file.name)
        images = tensor(file, "images", 4, notes) if match else None
        if match and images is not None:
            rounds[int(match.group(1))] = images
    return final, dict(sorted(rounds.items()))


def chosen_images(
    final: Images | None, rounds: dict[int, Images], per_target: list[dict[str, Any]]
) -> Images | None:
    """One reconstruction of each target: of the client that the judge's numbers belong to."""
    import numpy as np

    chosen = [row.get("chosen") for row in per_target]
    clients, targets = final.shape[:2] if final is not None else (0, 0)
    known = all(isinstance(client, int) and 0 <= client < clients for client in chosen)
    if final is not None and known and len(chosen) == targets:
        images: Images = final[np.array(chosen, dtype=int), np.arange(targets)]
        return images
    if rounds:
        return rounds[max(rounds)]
    return final[0] if final is not None and len(final) == 1 else None


def gallery(folder: Path, notes: list[str]) -> tuple[Images | None, Images | None]:
    """Mean private and mean public images of the targets."""
    path = folder / "gallery.safetensors"
    if not path.is_file():
        notes.append("No gallery.safetensors: the truth is not in this run, so no private image is shown.")
        return None, None
    return tensor(path, "truth", 4, notes), tensor(path, "public", 4, notes)


def sides(folder: Path, notes: list[str]) -> dict[str, Sides]:
    """Both sides of a game by attack; empty where the gallery has none. An attack's name may hold a slash."""
    path = folder / "gallery.safetensors"
    found: dict[str, Sides] = {}
    for key in _keys(path):
        side, _, rest = key.partition("/")
        name, _, round_ = rest.rpartition("/")
        if side not in ("in", "out") or not name or not round_.isdecimal():
            continue
        images = tensor(path, key, 4, notes)
        if images is None:
            continue
        if name not in found:
            found[name] = Sides({}, {}, _mask(path, f"has_in/{name}"), _mask(path, f"has_out/{name}"))
        (found[name].inside if side == "in" else found[name].outside)[int(round_)] = images
    return {
        name: Sides(_by_round(one.inside), _by_round(one.outside), one.has_inside, one.has_outside)
        for name, one in found.items()
    }


def _by_round(images: dict[int, Images]) -> dict[int, Images]:
    return dict(sorted(images.items()))


def _keys(path: Path) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return sorted(file.keys())
    except (OSError, SafetensorError):
        return []


def _mask(path: Path, key: str) -> list[bool] | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return [bool(value) for value in file.get_tensor(key).reshape(-1)]
    except (OSError, SafetensorError):
        return None


def tensor(path: Path, key: str, axes: int, notes: list[str]) -> Images | None:
    """A stack of images out of a safetensors file, or None and a note."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            images: Images = file.get_tensor(key)
    except (OSError, SafetensorError):
        notes.append(f"{path.parent.name}/{path.name} has no readable {key!r}; it is left out.")
        return None
    if images.ndim != axes or images.shape[-3] not in (1, 3):
        notes.append(f"{path.parent.name}/{path.name}: {key!r} is not a stack of images; it is left out.")
        return None
    return images
