"""The verdict in plain words, from the numbers alone: what was rebuilt, and how much that says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from logitleak.report.load import Attack, Run, table


@dataclass(frozen=True)
class Verdict:
    """What the report says first."""

    grade: str
    badge: str
    headline: str
    details: list[str] = field(default_factory=list)
    means: list[str] = field(default_factory=list)
    means_not: list[str] = field(default_factory=list)
    best: str | None = None


def judge(run: Run) -> Verdict:
    """Grade the run by its strongest attack: an audit answers for the worst that was shown possible."""
    if not run.audited:
        headline = f"No attack was run, so this report says nothing about what the {run.shared} leak."
        return Verdict("none", "No attack", headline, [_data_sentence(run)])
    judged = [attack for attack in run.audited if _share(attack).get("trials")]
    if not judged:
        headline = (
            f"The server ran {_names(run.audited)} and has its reconstructions, but without the truth "
            "nobody can say here how good they are."
        )
        return Verdict("none", "Not judged", headline, [_data_sentence(run)])
    # A tie goes to an attack over a baseline, then to the better likeness.
    best = max(judged, key=lambda one: (_share(one)["value"], one.kind == "attack", _ssim(one)))
    grade, badge, comparison = _grade(run, best)
    details = [comparison, *_selection(judged, best), *_owner(run, best), *_close(best), _data_sentence(run)]
    return Verdict(
        grade, badge, _headline(run, best), details, _means(run), _means_not(run, grade), best.name
    )


def percent(value: float) -> str:
    """A percentage, with one decimal near the ends: a single miss or hit must not round away."""
    text = f"{value:.1%}" if min(value, 1 - value) < 0.1 else f"{value:.0%}"
    return text.replace(".0%", "%")


def interval(share: dict[str, Any]) -> str:
    """Such as `95% interval 64 to 95%`."""
    return f"95% interval {share['low'] * 100:.0f} to {share['high'] * 100:.0f}%"


def _headline(run: Run, best: Attack) -> str:
    share = _share(best)
    noun = "synthetic identities" if run.data.get("synthetic") else "target identities"
    if share["successes"] == 0:
        count = f"none of {share['trials']} {noun}"
    elif share["successes"] == share["trials"] > 1:
        count = f"all {share['trials']} {noun}"
    else:
        count = f"{share['successes']} of {share['trials']} {noun}"
    text = (
        f"The server rebuilt {count} ({percent(share['value'])}, {interval(share)}) from shared {run.shared}"
    )
    average = next((rival for rival in run.rivals if rival.name == "public-mean" and _share(rival)), None)
    if average is None:
        return f"{text}."
    fooled = _share(average)
    verb = "passed" if share["successes"] == 0 else "fooled"
    return (
        f"{text}; returning the public average would have {verb} the same test on "
        f"{fooled['successes']} of {fooled['trials']}."
    )


def _grade(run: Run, best: Attack) -> tuple[str, str, str]:
    share = _share(best)
    rivals = [rival for rival in run.rivals if _share(rival)]
    chance = run.data.get("chance") or 0.0
    if share["successes"] == 0:
        sentence = (
            f"No attack run here succeeded once. With {_count(share['trials'], 'target')} that still allows "
            f"a true rate of up to {percent(share['high'])}, and it says nothing about other attacks."
        )
        return "quiet", "Nothing rebuilt", sentence
    bar = max([chance, *(_share(rival)["value"] for rival in rivals)])
    reach = max([chance, *(_share(rival)["high"] for rival in rivals)])
    measure = "the trivial rivals and chance" if rivals else "blind guesses"
    if share["low"] > reach:
        sentence = f"The whole interval of {best.name} lies above {measure}: the {run.shared} do leak."
        return "clear", "Clear leak", sentence
    if share["low"] > bar:
        sentence = (
            f"The interval of {best.name} lies above what {measure} reach, but it overlaps their own "
            "intervals: a leak is likely, and more targets would settle it."
        )
        return "likely", "Likely leak", sentence
    sentence = (
        f"The interval of {best.name} does not clear what {measure} reach ({percent(bar)}): on so few "
        "targets this run cannot tell the attack from a guess."
    )
    return "unclear", "Not told apart from a guess", sentence


def _selection(judged: list[Attack], best: Attack) -> list[str]:
    if len(judged) == 1:
        return [f"The attack is {best.name}."]
    others = [a.name for a in judged if a is not best and _share(a)["value"] == _share(best)["value"]]
    lead = f"{best.name}, tied with {_listed(others)}, is" if others else f"{best.name} is"
    return [
        f"{lead} the strongest of the {len(judged)} attacks judged here; the interval is not widened for "
        "that choice."
    ]


def _owner(run: Run, best: Attack) -> list[str]:
    share = table(best.numbers, "owner_named")
    clients = run.data.get("clients")
    if not share.get("trials") or not clients:
        return []
    return [
        f"It named the client that holds the images for {share['successes']} of {share['trials']} targets "
        f"({percent(share['value'])}, {interval(share)}; blind guessing among {clients} clients gives "
        f"{percent(1 / clients)})."
    ]


def _close(best: Attack) -> list[str]:
    share = table(best.numbers, "too_close_to_public")
    if not share.get("successes"):
        return []
    return [
        f"On {share['successes']} of {share['trials']} targets the result resembles the same label’s public "
        "images most, so it tells nothing that was not public."
    ]


def _data_sentence(run: Run) -> str:
    synthetic = run.data.get("synthetic")
    if synthetic is None and run.data.get("recorded"):
        return "Nobody said whether the recorded data are synthetic or real: treat this file as if they were real."
    if synthetic is None:
        return "The run does not say whether its data are synthetic or real."
    if synthetic:
        return "The images are synthetic: no real person is shown, and rates on real data may differ."
    return "The images are real data: this file shows private images and is as sensitive as they are."


def _means(run: Run) -> list[str]:
    chance = run.data.get("chance")
    blind = (
        f" Picking blindly among the competitors succeeds {percent(chance)} of the time." if chance else ""
    )
    return [
        "The reconstruction is more similar (SSIM) to the mean private image of its own identity than to "
        f"that of any other target and to the mean public image of any label.{blind}",
        f"The server needed only what its role gives it: the {run.shared}"
        + (", the public set and its own model." if run.own_model else " and the public set."),
    ]


def _means_not(run: Run, grade: str) -> list[str]:
    points = [
        "Not a copy of one photograph: the reference is the mean of an identity’s private images, and what "
        "comes back is at most a likeness of that mean. Look at the gallery, not at the rate alone.",
        "Not a rate for other data, models or numbers of clients: it holds for this configuration and this "
        "seed, and the interval covers the choice of targets only.",
    ]
    if grade in ("quiet", "unclear"):
        points.append("Not a proof of safety: a failed attack bounds that attack, not the leak.")
    return points


def _share(attack: Attack) -> dict[str, Any]:
    return table(attack.numbers, "accuracy")


def _ssim(attack: Attack) -> float:
    return table(attack.numbers, "mean").get("ssim") or 0.0


def _names(attacks: list[Attack]) -> str:
    return _listed([attack.name for attack in attacks])


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
