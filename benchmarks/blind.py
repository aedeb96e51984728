"""What choosing settings blind costs: every setting of an attack's grid with the truth in view, beside the chosen ones.

    python benchmarks/blind.py RUN [--attack gap] [--owner]

RUN is a finished run in twin worlds. The attack chose its settings from public data alone; here each combination of
what could have been chosen is tried on the real transcripts and scored with the sealed truth, which no attacker has. So
the best of the grid is an optimum in sample: of many settings the best looks better than it is.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from logitleak.config import AttackConfig, Config
from logitleak.errors import UserError
from logitleak.files.lock import alone
from logitleak.formats import AttackFile
from logitleak.formats.reading import read_file
from logitleak.metrics.attack import References, judge, references
from logitleak.metrics.leak import compare
from logitleak.progress import Quiet
from logitleak.sealed.files import read_game, read_truth
from logitleak.sealed.game import Game
from logitleak.stages.folder import RunFolder
from logitleak.stages.knowing import as_attacked
from logitleak.stages.lab import with_shadows
from logitleak.stages.tune import make_attack, open_steps
from logitleak.stages.worlds import attack_seed
from logitleak.types import Reconstructions, ServerView
from logitleak.wire.transcript import Transcript

SHOWN = 5
"""So many of the best settings are listed."""


def tried(entry: AttackConfig, clients: int, rounds: int) -> list[dict[str, Any]]:
    """Every combination of what could be chosen."""
    open_ = {name: values for step in open_steps(entry, clients, rounds) for name, values in step.items()}
    return [dict(zip(open_, values, strict=True)) for values in itertools.product(*open_.values())]


def seen(view: Transcript, run: RunFolder, config: Config, seed: int, world: int) -> ServerView:
    """A world with shadows where there is a single client, whose reference they may be."""
    if view.clients > 1:
        return view
    name = run.worlds[world].path.name if world else "0"
    return with_shadows(view, config, seed, run.lab / "shadows" / name, Quiet())


def asked(result: Reconstructions, known: References, owner: bool) -> Tensor:
    """The images that count: of the true owner, or those that the attack chose."""
    return result.images[known.owners, torch.arange(len(known.owners))] if owner else result.best


def leak_of(
    entry: AttackConfig, settings: Mapping[str, Any], seed: int, views: Sequence[ServerView],
    known: References, game: Game, owner: bool,
) -> dict[str, Any]:  # fmt: skip
    """The leak of one setting after the last round, as `compare` says it."""
    verdicts = []
    for view in views:
        made = make_attack(entry, settings, seed, torch.device("cpu"), None)
        verdicts.append(judge(asked(made.last(view), known, owner), known))
    return compare(torch.stack([v.success for v in verdicts]), torch.stack([v.ssim for v in verdicts]), game)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--attack", default="gap")
    parser.add_argument("--owner", action="store_true", help="the true owner's image, not the chosen one")
    given = parser.parse_args()
    run = RunFolder(given.run)
    config = run.config()
    if given.attack not in config.attacks or not isinstance(config, Config) or config.game.design != "twins":
        raise SystemExit(f"{given.run} is no run in twin worlds with an attack {given.attack}.")
    with alone(run.path):
        show(run, config, given.attack, given.owner)


def show(run: RunFolder, config: Config, name: str, owner: bool) -> None:
    """Try every setting of an attack of a run, and print the chosen ones beside the best."""
    entry = config.attacks[name]
    transcripts = [Transcript(world.path) for world in run.worlds]
    seed = attack_seed(config.seed)
    views = [as_attacked(seen(view, run, config, seed, i), entry) for i, view in enumerate(transcripts)]
    truth, game = read_truth(run.sealed), read_game(run.sealed)
    assert game is not None  # twin worlds have one
    known = references(truth, transcripts[0].knowledge.public, game)
    chosen = read_file(run.worlds[0].attack(name) / "attack.json", AttackFile)["settings"]
    found = []
    for settings in tried(entry, views[0].clients, views[0].rounds):
        try:
            said = leak_of(entry, {**entry.settings, **settings}, seed, views, known, game, owner)
        except UserError:  # what cannot be done here could not be chosen either
            continue
        found.append((said["leak"]["value"], said, settings))
    blind = leak_of(entry, chosen, seed, views, known, game, owner)
    found.sort(key=lambda one: -one[0])
    table = Table(title=f"{name}, {len(found)} settings, {len(known.labels)} targets")
    for column in ("", "leak", "in", "out", "wins", "settings"):
        table.add_column(column)
    named = {key: chosen[key] for key in (found[0][2] if found else {})}
    for place, (said, settings) in enumerate([(blind, named), *((one, s) for _, one, s in found[:SHOWN])]):
        what = "chosen blind" if place == 0 else f"best {place}"
        leak, wins = said["leak"], said["wins"]
        table.add_row(
            what, f"{100 * leak['value']:+.1f} [{100 * leak['low']:.0f}, {100 * leak['high']:.0f}]",
            str(said["in"]["successes"]), str(said["out"]["successes"]),
            f"{wins['successes']} of {wins['trials']}", str(settings),
        )  # fmt: skip
    console = Console()
    console.print(table)
    if found and found[0][0] > 0:
        share = blind["leak"]["value"] / found[0][0]
        console.print(f"Chosen blind: {share:.0%} of the grid's best.")


if __name__ == "__main__":
    main()
