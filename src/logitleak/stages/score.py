"""One attack against the truth: what it scored in every world, and what the private images changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from logitleak import registry
from logitleak.attacks.selection import select
from logitleak.files.storage import read_tensors
from logitleak.formats import AttackFile
from logitleak.formats.reading import read_file
from logitleak.metrics.attack import References, Verdicts, judge, number, summarize
from logitleak.metrics.leak import compare, sides_of
from logitleak.metrics.proportion import share
from logitleak.metrics.ssim import mean_ssim_to_others
from logitleak.progress import Progress
from logitleak.sealed.game import Game
from logitleak.types import Reconstructions


@dataclass(frozen=True)
class Scored:
    """An attack's entry of metrics.json, and its images in the gallery (none where no game was played)."""

    entry: dict[str, Any]
    gallery: dict[str, Tensor]


@dataclass(frozen=True)
class _Round:
    """One round of one attack in all worlds.

    Attributes:
        chosen: verdicts on the chosen images, by world.
        owner: verdicts on the images of the targets' owners; None where nobody knows them, or all are one client's.
        images: what is shown of the targets, by world: the chosen images, or those of the clients that are asked about.
    """

    chosen: list[Verdicts]
    owner: list[Verdicts] | None
    images: list[Tensor]


def score_attack(
    folders: Sequence[Path],
    known: References,
    game: Game | None,
    rounds: int,
    progress: Progress,
    prior: Mapping[str, Any] | None,
) -> Scored:
    """A finished attack's folders against the truth.

    The paper's measure is taken, for each target, in the first world in which it is in; the leak over all worlds.

    Args:
        folders: the attack's folder in every world.
        known: what reconstructions are compared with.
        game: who was in; None where everybody was.
        rounds: T.
        progress: where it reports to.
        prior: what `score_prior` says of this attack.
    """
    seat = _Seat(game, known)
    by_round: list[dict[str, Any]] = []
    leaks: list[dict[str, Any]] = []
    gallery: dict[str, Tensor] = {}
    name = folders[0].name
    for t in range(1, rounds + 1):
        found = _round(folders, t, known, game)
        verdicts = seat.inside(found.chosen)
        by_round.append(
            {
                "round": t,
                "accuracy": share(verdicts.success[seat.members].tolist()),
                "too_close_to_public": share(verdicts.too_close[seat.members].tolist()),
                "ssim": number(verdicts.ssim[seat.members].mean()),
            }
        )
        if game is not None:
            leaks.append({"round": t, **_leaks(found, game, seat)})
            gallery |= seat.pictures(found.images, f"{name}/{t}")
        progress.advance(f"{name}, round {t}")
    result = _final(folders, rounds, known, seat)
    scored = describe_attack(folders[0]) | summarize(result, verdicts, known, seat.members if game else None)
    scored["rounds"] = by_round
    scored["client_ssim"] = _client_ssim(result.images, known, seat.members)
    scored["prior"] = prior and {
        "accuracy": prior["accuracy"],
        "too_close_to_public": prior["too_close_to_public"],
        "ssim": prior["mean"]["ssim"],
    }
    scored["leak"] = None
    if game is not None:
        last = {key: value for key, value in leaks[-1].items() if key != "round"}
        scored["leak"] = last | {
            "p_holm": None,
            "rounds": leaks,
            "per_target": _per_target(found, game, seat, known),
        }
        gallery |= {f"has_{side}/{name}": seat.seen(side) for side in ("in", "out")}
    return Scored(scored, gallery)


def members_of(game: Game | None, known: References) -> Tensor | None:
    """bool [T], whose images took part in any world: shares of what was rebuilt are over them. None for everybody."""
    return None if game is None else _Seat(game, known).members


def score_prior(folder: Path, known: References, members: Tensor | None) -> dict[str, Any] | None:
    """What the prior's images of the targets would score by themselves, without any upload: an attack that does not
    beat its own prior learnt nothing from the clients. A rival's entry of metrics.json; None where the attack of
    this folder used no prior. Over the same members as the attack."""
    file = folder / "prior.safetensors"
    if not file.exists():
        return None
    used = read_file(folder / "attack.json", AttackFile)["prior"]
    images = read_tensors(file)["images"].to(torch.float32).div(255)
    return rival(
        f"Returns the {used} prior of each label, which {folder.name} starts from", images, known, members
    )


def rival(summary: str, images: Tensor, known: References, members: Tensor | None) -> dict[str, Any]:
    """The entry of metrics.json of who answers with these images [T, 3, H, W]; shares are over the members."""
    result = select(images[None], known.labels, beta=0.0)
    return summarize(result, judge(images, known), known, members) | {
        "kind": "rival", "summary": summary, "rounds": [], "client_ssim": None, "leak": None, "nulls": [],
        "losses": [], "choices": {}, "settings": {}, "assumptions": [],
    }  # fmt: skip


def describe_attack(folder: Path) -> dict[str, Any]:
    """What an attack says of itself."""
    said = read_file(folder / "attack.json", AttackFile)
    chosen = {key: said.get(key) for key in ("prior", "prior_settings", "tune", "view", "uploads")}
    return {
        "attack": said["attack"],
        "kind": said["kind"],
        "summary": registry.entries("attack")[said["attack"]].summary,
        "settings": said["settings"] | chosen,
        "assumptions": said["assumptions"],
        "choices": said["choices"],
        "losses": [row | {"loss": number(row["loss"])} for row in said["losses"]],
    }


class _Seat:
    """Where each target is in and where it is out.

    Attributes:
        members: bool [T], who is in in any world.
    """

    def __init__(self, game: Game | None, known: References) -> None:
        targets = len(known.labels)
        self.members = torch.ones(targets, dtype=torch.bool)
        self.first_in = torch.zeros(
            targets, dtype=torch.int64
        )  # the world to look at; 0 where it is in in none
        self.first_out = torch.zeros(targets, dtype=torch.int64)
        self._out = torch.zeros(targets, dtype=torch.bool)
        self.units = torch.empty(0, dtype=torch.int64)
        if game is None:
            return
        self.units = torch.searchsorted(known.labels, game.units)
        self.members[self.units] = game.coins.any(0)
        self.first_in[self.units] = game.coins.to(torch.uint8).argmax(0)
        self.first_out[self.units] = (~game.coins).to(torch.uint8).argmax(0)
        self._out[self.units] = (~game.coins).any(0)

    def inside(self, verdicts: list[Verdicts]) -> Verdicts:
        """Of every target the verdict in its first world where it is in."""
        worlds = self.first_in

        def pick(name: str) -> Tensor:
            return torch.stack([getattr(v, name) for v in verdicts])[worlds, torch.arange(len(worlds))]

        tensors = {name: pick(name) for name in ("success", "too_close", "ssim", "ssim_public", "ssim_rival")}
        return Verdicts(
            **tensors, best_match=[verdicts[w].best_match[i] for i, w in enumerate(worlds.tolist())]
        )

    def pictures(self, images: list[Tensor], name: str) -> dict[str, Tensor]:
        """The images that are shown, in and out, uint8 [T, 3, H, W], by their names in the gallery."""
        every, each = torch.stack(images), torch.arange(len(self.members))
        return {
            f"{side}/{name}": every[worlds, each].mul(255).round().to(torch.uint8)
            for side, worlds in (("in", self.first_in), ("out", self.first_out))
        }

    def seen(self, side: str) -> Tensor:
        """uint8 [T], 1 where there is an image of this side."""
        return (self.members if side == "in" else self._out).to(torch.uint8)


def _round(folders: Sequence[Path], t: int, known: References, game: Game | None) -> _Round:
    chosen, owner, images = [], [], []
    at_client = game is not None and game.at_client
    for folder in folders:
        tensors = read_tensors(folder / f"round-{t:02d}.safetensors")
        verdicts = judge(tensors["images"], known)
        chosen.append(verdicts)
        owned = "clients" in tensors and bool((known.owners >= 0).all())
        if owned:
            owner.append(_of_owners(tensors["clients"], tensors["chosen"], verdicts, known))
        each = torch.arange(len(known.owners))
        shown = tensors["clients"][known.owners, each].float() if owned and at_client else tensors["images"]
        images.append(shown)
    return _Round(chosen, owner or None, images)


def _of_owners(clients: Tensor, chosen: Tensor, verdicts: Verdicts, known: References) -> Verdicts:
    """Verdicts on the images of the targets' owners; where the owner was chosen there is nothing to do again."""
    other = torch.nonzero(chosen != known.owners).flatten()
    if len(other) == 0:
        return verdicts
    found = judge(clients[known.owners[other], other].float(), known, other)
    names = ("success", "too_close", "ssim", "ssim_public", "ssim_rival")
    mixed = {name: getattr(verdicts, name).clone() for name in names}
    for name in names:
        mixed[name][other] = getattr(found, name)
    best = list(verdicts.best_match)
    for place, match in zip(other.tolist(), found.best_match, strict=True):
        best[place] = match
    return Verdicts(**mixed, best_match=best)


def _leaks(found: _Round, game: Game, seat: _Seat) -> dict[str, Any]:
    return {
        image: None if verdicts is None else compare(*_units(verdicts, seat), game)
        for image, verdicts in (("chosen", found.chosen), ("owner", found.owner))
    }


def _units(verdicts: list[Verdicts], seat: _Seat) -> tuple[Tensor, Tensor]:
    """Success and SSIM of the game's units, [W, n] each."""
    success = torch.stack([v.success for v in verdicts])[:, seat.units]
    return success, torch.stack([v.ssim for v in verdicts])[:, seat.units]


def _per_target(found: _Round, game: Game, seat: _Seat, known: References) -> list[dict[str, Any]]:
    asked = found.owner if game.at_client and found.owner is not None else found.chosen
    rows = sides_of(*_units(asked, seat), game)
    return [
        {
            "label": int(known.labels[place]),
            "name": known.names[place],
            "owner": int(known.owners[place]) if known.owners[place] >= 0 else None,
            **row,
        }
        for place, row in zip(seat.units.tolist(), rows, strict=True)
    ]


def _final(folders: Sequence[Path], rounds: int, known: References, seat: _Seat) -> Reconstructions:
    """Every client's images after the last round, of each target in its first world where it is in."""
    finals = [read_tensors(folder / "final.safetensors")["images"] for folder in folders]
    lasts = [read_tensors(folder / f"round-{rounds:02d}.safetensors") for folder in folders]
    if len(folders) == 1:
        return Reconstructions(finals[0], known.labels, lasts[0]["chosen"], lasts[0]["scores"])
    each = torch.arange(len(known.labels))
    images = torch.stack(finals)[seat.first_in, :, each].transpose(0, 1)
    chosen = torch.stack([last["chosen"] for last in lasts])[seat.first_in, each]
    scores = torch.stack([last["scores"] for last in lasts])[seat.first_in, :, each].T
    return Reconstructions(images, known.labels, chosen, scores)


def _client_ssim(images: Tensor, known: References, members: Tensor) -> dict[str, list[float | None]] | None:
    """Fig. 4: how like the other clients' reconstructions those of owners and of others are."""
    if len(images) < 2 or bool((known.owners < 0).any()):
        return None
    similarity = mean_ssim_to_others(images[:, members])
    owns = known.holds(len(images))[members].T
    return {
        "owner": [number(value) for value in similarity[owns]],
        "others": [number(value) for value in similarity[~owns]],
    }
