"""The verdict of a run without a game: likeness alone. How much of it is the private images' nobody can tell.

An attack that returns the public average, or its prior, can be most like the right person without having seen a
private image. Nulls, the same attack where it cannot have seen one, show how far that goes; only a game measures it.
"""

from __future__ import annotations

from logitleak.report.parts.games import Null, nulls
from logitleak.report.parts.load import Attack, Run, table
from logitleak.report.parts.words import (
    NO_PROOF,
    NO_RATE,
    Verdict,
    accuracy,
    count,
    in_brackets,
    interval,
    listed,
    many,
    nature,
    no_copy,
    one,
    out_of,
    owner_named,
    percent,
    role,
    success,
)

ASK = (
    "Run the federation with --twins, once with the private images of each target and once without, to measure "
    "what they changed."
)


def judge(run: Run, unfinished: bool = False) -> Verdict:
    """Grade by the strongest attack: an audit answers for the worst that was shown possible.

    Args:
        unfinished: a game was played, and its comparison is missing.
    """
    judged = [attack for attack in run.audited if accuracy(attack)]
    # A tie goes to an attack over a baseline, then to the better likeness.
    best = max(judged, key=lambda one: (accuracy(one)["value"], one.kind == "attack", _ssim(one)))
    known = nulls(best)
    grade, badge, points = _grade(run, best, known)
    game = ["A game was played, but its comparison is not in metrics.json: evaluate the run again."]
    details = [
        *points,
        *(game if unfinished else []),
        *_selection(judged, best),
        *owner_named(run, best),
        *_close(best),
        nature(run),
    ]
    means = [
        success(run),
        role(run),
        "Likeness is not leak: an attack that brings public images, a prior or a good guess along can look like "
        f"the right {one(run)} without any private image. A game compares the same attack with and without them.",
    ]
    means_not = [no_copy(run), NO_RATE, *([NO_PROOF] if grade not in ("likely", "likeness") else [])]
    return Verdict(grade, badge, _headline(run, best, grade), details, means, means_not, best.name)


def own_rivals(run: Run, attack: Attack) -> list[Attack]:
    """The guesses that this attack must beat: the generic ones and its own prior, never another attack's."""
    names = ("prior", "public-mean", f"prior of {attack.name}")
    return [rival for rival in run.rivals if rival.name in names and accuracy(rival)]


def _headline(run: Run, best: Attack, grade: str) -> str:
    found = accuracy(best)
    kind = "synthetic" if run.data.get("synthetic") else "target"
    noun = f"{kind} {'identities' if one(run) == 'person' else many(run)}"
    if found["successes"] == 0:
        counted = f"none of {found['trials']:g} {noun}"
    elif found["successes"] == found["trials"] > 1:
        counted = f"all {found['trials']:g} {noun}"
    else:
        counted = f"{out_of(found)} {noun}"
    rate = in_brackets(percent(found["value"]), interval(found))
    if found["successes"] == 0:
        return f"From shared {run.shared} the server rebuilt {counted}{rate}."
    right = f"the right {one(run)} for {counted}{rate}"
    text = f"From shared {run.shared} the server made images that are most like {right}"
    return text + {
        "likely": "; the same attack without sight of the private images does clearly worse.",
        "guess": "; without sight of the private images the same attack does as well.",
        "unclear": "; that is not told apart from a guess that looks at no upload.",
    }.get(grade, "; nobody can tell from this run how much of that likeness is the private images’.")


def _grade(run: Run, best: Attack, known: list[Null]) -> tuple[str, str, list[str]]:
    found, rivals = accuracy(best), own_rivals(run, best)
    chance = run.data.get("chance") or 0.0
    if found["successes"] == 0:
        sentence = (
            f"No attack run here succeeded once. With {count(found['trials'], 'target')} that still allows "
            f"a true rate of up to {percent(found['high'])}, and it says nothing about other attacks."
        )
        return "quiet", "Nothing rebuilt", [sentence]
    compared = _compared(run, best, known, rivals)
    if (as_good := _as_good(found["value"], known)) is not None:
        sentence = (
            f"{best.name} scores {out_of(as_good.share)} on {as_good.words}, where it cannot have seen the "
            f"private images, and {out_of(found)} on the uploads: the likeness is what anybody could have guessed "
            "from public images."
        )
        return "guess", "What anybody could guess", [sentence, *compared, ASK]
    bar = max([chance, *(accuracy(rival)["value"] for rival in rivals)])
    if found["low"] <= bar:
        sentence = (
            f"The interval of {best.name} does not clear what the trivial rivals and chance reach "
            f"({percent(bar)}): on so few targets this run cannot tell the attack from a guess."
        )
        return "unclear", "Not told apart from a guess", [sentence, *compared, ASK]
    highs = [accuracy(rival)["high"] for rival in rivals] + [null.share["high"] for null in known]
    if known and found["low"] > max([chance, *highs]):
        sentence = (
            f"The whole interval of {best.name} lies above those of its nulls, of its rivals and of chance: a leak is "
            "likely. Only a game can measure it."
        )
        return "likely", "Likely leak", [sentence, *compared, ASK]
    if known:
        sentence = (
            "Likeness was shown. The nulls score lower, but the intervals are not all apart, so nobody can tell how "
            "much of the likeness is the private images’."
        )
    else:
        sentence = (
            "Likeness was shown, and no more: the same attack was not tried without the private images, so nobody "
            "can tell how much of the likeness they gave away and how much was public or guessed."
        )
    return "likeness", "Likeness only", [sentence, *compared, ASK]


def _as_good(value: float, known: list[Null]) -> Null | None:
    """The best of the nulls that do at least as well as the attack."""
    as_good = [null for null in known if null.share["value"] >= value]
    return max(as_good, key=lambda null: null.share["value"], default=None)


def _compared(run: Run, best: Attack, known: list[Null], rivals: list[Attack]) -> list[str]:
    """What to hold the accuracy against: the nulls, and the guesses that look at no upload."""
    lines = []
    if known:
        scores = [
            f"{out_of(null.share)} on {null.words}{in_brackets(interval(null.share))}" for null in known
        ]
        lines.append(f"Nulls: without sight of the private images {best.name} scores {listed(scores)}.")
    guesses = [f"{rival.name} scores {out_of(accuracy(rival))}" for rival in rivals]
    if run.data.get("chance"):
        guesses.append(f"chance is {percent(run.data['chance'])}")
    if guesses:
        lines.append(f"Guesses that look at no upload: {listed(guesses)}.")
    return lines


def _selection(judged: list[Attack], best: Attack) -> list[str]:
    if len(judged) == 1:
        return [f"The attack is {best.name}."]
    tied = [a.name for a in judged if a is not best and accuracy(a)["value"] == accuracy(best)["value"]]
    lead = f"{best.name}, tied with {listed(tied)}, is" if tied else f"{best.name} is"
    return [
        f"{lead} the strongest of the {len(judged)} attacks judged here by the paper’s measure; the interval is not "
        "widened for that choice."
    ]


def _close(best: Attack) -> list[str]:
    found = table(best.numbers, "too_close_to_public")
    if not found.get("successes"):
        return []
    return [
        f"On {found['successes']} of {found.get('trials')} targets the result resembles the same label’s public "
        "images most, so it tells nothing that was not public."
    ]


def _ssim(attack: Attack) -> float:
    return table(attack.numbers, "mean").get("ssim") or 0.0
