"""What now? Who is exposed, what to run next and what would have helped, each from the numbers of this run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from logitleak.report.parts.games import LEVEL, Comparison, Game, Wins, central, game, leak, number, whole
from logitleak.report.parts.load import Attack, Run, rows, table
from logitleak.report.parts.words import Verdict, count, listed, many, points

NAMED = 8
"""More people than this are counted and not named."""

MOSTLY = 0.8
"""A first round that shows so much of the last one's leak says that stopping early would not have helped."""


@dataclass(frozen=True)
class Step:
    """One thing to know or to do.

    Attributes:
        title: what it is about, in a few words.
        text: what the numbers say.
        command: what to give next; empty where there is nothing to run.
    """

    title: str
    text: str
    command: str = ""


def steps(run: Run, verdict: Verdict) -> list[Step]:
    """What the reader of this report can do, in the order in which it matters; empty where nothing was attacked."""
    if not run.audited:
        return []
    attack = next((each for each in run.audited if each.name == verdict.best), run.audited[0])
    played = game(run)
    found = [
        _exposed(attack, played),
        _measure_leak(run, played),
        _power(attack, played, verdict),
        _early(attack, played, verdict),
        _behind_a_sum(run, attack),
        _again(run, verdict),
    ]
    return [step for step in found if step is not None]


def _exposed(attack: Attack, played: Game | None) -> Step | None:
    """The people whose images came back because they were used, and the clients that hold them."""
    told = table(attack.numbers, "leak")
    if played is None or not played.paired or not rows(told, "per_target"):
        return None
    hit = [row for row in rows(told, "per_target") if _came_back(row)]
    if not hit:
        return Step(
            "Who is exposed", f"Nobody was rebuilt by {attack.name} only where their images were used."
        )
    names = [str(row.get("name") or row.get("label")) for row in hit]
    shown = (
        listed(names[:NAMED])
        if len(names) <= NAMED
        else f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    )
    clients = sorted({owner for row in hit if (owner := whole(row, "owner")) is not None and owner >= 0})
    where = f", of {_clients(clients)}" if clients else ""
    return Step(
        "Who is exposed",
        f"{count(len(hit), 'target')} came back only where their images were used: {shown}{where}. "
        "Another attack, or another draw, may find others.",
    )


def _came_back(row: dict[str, Any]) -> bool:
    """Whether a target was rebuilt in, in half of the worlds or more, and out in fewer."""
    inside, outside = (number(table(row, side), "success") for side in ("in", "out"))
    return inside is not None and outside is not None and inside >= 0.5 > outside


def _clients(numbers: list[int]) -> str:
    named = [str(number) for number in numbers[:NAMED]]
    if len(numbers) > NAMED:
        return f"{len(numbers)} clients"
    return f"client {named[0]}" if len(named) == 1 else f"clients {listed(named)}"


def _measure_leak(run: Run, played: Game | None) -> Step | None:
    if played is not None:
        return None
    if run.data.get("recorded"):
        return Step(
            "Say who took part",
            "Likeness alone cannot tell a leak from a good guess. If you know whose private images took part and whose "
            "were left out, the description of a capture can say so (private.game); in a live federation canaries do "
            "it by sealed coins.",
            "logitleak deploy init FOLDER --config CONFIG --canaries 20",
        )
    return Step(
        "Measure the leak",
        "Likeness alone cannot tell a leak from a good guess. Twin worlds run the same federation with and without "
        "each target's images, and count the difference.",
        "logitleak run CONFIG --twins --out ANOTHER",
    )


def _power(attack: Attack, played: Game | None, verdict: Verdict) -> Step | None:
    """What this game could have shown at all, where it showed nothing clear."""
    if played is None or verdict.grade == "clear":
        return None
    found = leak(attack)
    main = central(played, found) if found else None
    if main is None:
        return None
    if played.by_likeness and main.wins is not None:
        return _power_of_wins(played, main.wins)
    units = played.units or 0
    if not played.paired or units < 1 or (played.worlds or 2) > 2:
        what = "say more of likeness" if played.by_likeness else "narrow the interval"
        return Step("Look closer", f"More targets {what}, and so do more seeds.")
    least = fewest()
    if units < least:
        able = f"With {count(units, 'target')} no leak can be clear: it takes {least} at least"
    else:
        able = (
            f"With {units} targets a leak under {points(least / units)} points cannot be clear, even if nobody comes "
            "back out"
        )
    return Step(
        "Look closer",
        f"{able}. More targets (data.targets), or four worlds, in which each target is in twice and out twice, show "
        "smaller ones.",
        "logitleak run CONFIG --set game.worlds=4 --out ANOTHER",
    )


def _power_of_wins(played: Game, wins: Wins) -> Step:
    """The same where likeness decides: how many of the targets whose images differ must win."""
    needed, differ = wins_needed(wins.trials), count(wins.trials, "target")
    if needed is None:
        able = (
            f"The images of {differ} differ, and of so few no leak can be clear: it takes {fewest()} at least"
        )
    elif wins.successes >= needed:
        able = f"Of {differ} whose images differ {wins.successes} win, but the attack was picked among several for that"
    else:
        able = (
            f"Of {differ} whose images differ {needed} must come out nearer to the truth where their images were used "
            f"before a leak is clear; {wins.successes} did"
        )
    if (played.worlds or 2) > 2:
        return Step("Look closer", f"{able}. More targets show smaller leaks, and so do more seeds.")
    return Step(
        "Look closer",
        f"{able}. More targets (data.targets), or four worlds, in which each target is in twice and out twice, show "
        "smaller ones.",
        "logitleak run CONFIG --set game.worlds=4 --out ANOTHER",
    )


def wins_needed(trials: int) -> int | None:
    """How many of so many targets must win before a fair coin's exact test counts; None where all would not do."""
    found, tail = None, 0
    for wins in range(trials, trials // 2, -1):
        tail += math.comb(trials, wins)
        if 2 * tail >= LEVEL * 2**trials:
            break
        found = wins
    return found


def fewest() -> int:
    """How many pairs must differ, all in one way, before McNemar's exact test counts: 2 · 2⁻ⁿ < 0.05."""
    pairs = 1
    while 2 * 0.5**pairs >= LEVEL:
        pairs += 1
    return pairs


def _early(attack: Attack, played: Game | None, verdict: Verdict) -> Step | None:
    """Whether fewer rounds would have helped, as far as the rounds of this attack can say, by what the verdict is
    about: the same image, and the same measure."""
    found = leak(attack)
    if played is None or found is None or verdict.grade == "quiet" or len(found.rounds) < 2:
        return None
    main = central(played, found)
    of_owner = main is not None and main is found.owner
    ends = [
        told
        for _, chosen, owner in (found.rounds[0], found.rounds[-1])
        if (one := owner if of_owner else chosen) and (told := _extent(one, played.by_likeness))
    ]
    if len(ends) < 2 or ends[1][0] <= 0:
        return None
    (first, at_first), (last, at_last) = ends
    said = f"After the first round {at_first}, after the last {at_last}"
    if first >= MOSTLY * last:
        return Step("Fewer rounds", f"{said}: stopping earlier would not have helped.")
    return Step("Fewer rounds", f"{said}: what travels in later rounds adds to it.")


def _extent(one: Comparison, by_likeness: bool) -> tuple[float, str] | None:
    """How far a comparison is from nothing, and in words; None where it does not say."""
    if not by_likeness:
        return (one.leak.value, f"the leak was {points(one.leak.value)} points") if one.leak else None
    if one.wins:
        of = one.wins.trials
        size = one.wins.successes / of - 0.5 if of else 0.0
        return (
            size,
            f"{one.wins.successes} of {of} targets came out nearer to the truth where their images were used",
        )
    return (one.auc.value - 0.5, f"likeness had an AUC of {one.auc.value:.2f}") if one.auc else None


def _behind_a_sum(run: Run, attack: Attack) -> Step | None:
    """What a secure sum would leave, which can be tried on what is recorded."""
    clients = run.data.get("clients")
    tried = any(table(each.numbers, "settings").get("view") == "sum" for each in run.audited)
    hidden = run.data.get("aggregation", "plain") != "plain"
    if (
        not isinstance(clients, int)
        or clients < 2
        or hidden
        or tried
        or run.shared in ("weights", "gradients")
    ):
        return None
    kind = attack.numbers.get("attack") or attack.name
    return Step(
        "Would a secure sum help?",
        "The server then sees the mean of all uploads and no client's own. What that leaves can be tried on this very "
        "transcript, without another federation.",
        f"logitleak attack RUN --attack {kind} --name behind-a-sum --view sum",
    )


def _again(run: Run, verdict: Verdict) -> Step:
    """What one draw is worth, and what stood in the way of this one."""
    on = list(run.defenses)
    if (aggregation := run.data.get("aggregation", "plain")) != "plain":
        on.append(str(aggregation))
    recorded = bool(run.data.get("recorded"))
    what = "recording" if recorded else "seed"
    text = f"One {what} is one draw of {many(run)}, clients and models; other {what}s say how much the numbers vary."
    if on:
        text += f" This one had {listed(on)} on; other settings may leave more or less."
    elif verdict.grade in ("clear", "likely") and recorded:
        text += " Its recording names no defense."
    elif verdict.grade in ("clear", "likely"):
        text += " No defense was on that this tool knows of, and none was tried by this run."
    # a recorded federation cannot be run again
    return Step("Other draws", text, "" if recorded else "logitleak run CONFIG --set seed=1 --out ANOTHER")
