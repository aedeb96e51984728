"""What a verdict is made of: its fields, and the phrases that its sentences share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from logitleak.report.parts.games import Gap, share
from logitleak.report.parts.load import Attack, Run
from logitleak.text import noun_of, plural


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


def one(run: Run) -> str:
    """What a label of this run stands for: person, class, product."""
    return noun_of(run.metrics.get("noun"))


def many(run: Run) -> str:
    """Several of them: people, classes, products."""
    return plural(one(run))


def percent(value: float) -> str:
    """A percentage, with one decimal near the ends: a single miss or hit must not round away."""
    text = f"{value:.1%}" if min(value, 1 - value) < 0.1 else f"{value:.0%}"
    return text.replace(".0%", "%")


def interval(share: dict[str, Any]) -> str:
    """Such as `95% interval 64 to 95%`."""
    return f"95% interval {share['low'] * 100:.0f} to {share['high'] * 100:.0f}%"


def points(value: float) -> str:
    """A difference of shares in percentage points, such as `65` or `−3`, with a true minus."""
    text = f"{value * 100:.0f}"
    return "0" if text == "-0" else text.replace("-", "−")


def gain(gap: dict[str, Any]) -> str:
    """A difference of shares in points with its interval, such as `+12.0 [+3.1 to +20.9]`; a dash for none."""
    if gap.get("difference") is None:
        return "–"
    text = f"{100 * gap['difference']:+.1f}"
    if gap.get("low") is not None:
        text += f" [{100 * gap['low']:+.1f} to {100 * gap['high']:+.1f}]"
    return text.replace("-", "−")


def area(found: dict[str, Any]) -> str | None:
    """An area under the curve with its interval, such as `0.912 [0.84–0.97]`; None where there is none."""
    return f"{found['value']:.3f} [{found['low']:.2f}–{found['high']:.2f}]" if found else None


def span(gap: Gap) -> str:
    """The interval of a leak in points, such as `95% interval 38 to 81`; empty where there is none."""
    if gap.low is None or gap.high is None:
        return ""
    return f"95% interval {points(gap.low)} to {points(gap.high)}"


def p_value(p: float) -> str:
    """Such as `p = 0.02`; what is smaller than can be of interest is said to be so."""
    if p < 0.0001:
        return "p < 0.0001"
    return f"p = {p:.1g}" if p < 0.01 else f"p = {min(p, 1.0):.2f}"


def out_of(found: dict[str, Any]) -> str:
    """Such as `17 of 20`."""
    return f"{found['successes']:g} of {found['trials']:g}"


def in_brackets(*parts: str) -> str:
    """What there is of the parts, in brackets and with a space before; empty where there is nothing."""
    there = [part for part in parts if part]
    return f" ({', '.join(there)})" if there else ""


def listed(names: Sequence[str]) -> str:
    """Such as `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def count(number: int, noun: str) -> str:
    """Such as `1 target` and `2 targets`."""
    return f"{number:g} {noun}" if number == 1 else f"{number:g} {noun}s"


def accuracy(attack: Attack) -> dict[str, Any]:
    """The paper's measure of an attack; empty where nobody judged it."""
    return share(attack.numbers, "accuracy")


def owner_named(run: Run, attack: Attack) -> list[str]:
    """How often the attack named an owner, beside a blind guess."""
    found, clients = share(attack.numbers, "owner_named"), run.data.get("clients")
    if not found or not isinstance(clients, int) or clients < 1:
        return []
    held = [len(row["holders"]) for row in attack.per_target if isinstance(row.get("holders"), list)]
    if held and min(held) >= clients:  # everybody holds everything: any answer is right
        return []
    blind = (sum(held) / len(held) if held else 1) / clients
    who = "a client that holds images" if held else "the client that holds the images"
    return [
        f"{attack.name} named {who} for {out_of(found)} targets ({percent(found['value'])}, {interval(found)}; blind "
        f"guessing among {clients} clients gives {percent(blind)})."
    ]


def nature(run: Run) -> str:
    """Whether real people are shown, which decides how the report must be kept."""
    synthetic = run.data.get("synthetic")
    if synthetic is None and run.data.get("recorded"):
        return "Nobody said whether the recorded data are synthetic or real: treat this file as if they were real."
    if synthetic is None:
        return "The run does not say whether its data are synthetic or real."
    if synthetic:
        nobody = ": no real person is shown, and" if one(run) == "person" else ", and"
        return f"The images are synthetic{nobody} rates on real data may differ."
    return "The images are real data: this file shows private images and is as sensitive as they are."


NO_RATE = (
    "Not a rate for other data, models or numbers of clients: it holds for this configuration and this seed, "
    "and the interval covers the choice of targets only."
)
NO_PROOF = "Not a proof of safety: a failed attack bounds that attack, not the leak."


def no_copy(run: Run) -> str:
    """What a success is not."""
    whose = "an identity’s" if one(run) == "person" else f"one {one(run)}’s"
    return (
        f"Not a copy of one photograph: the reference is the mean of {whose} private images, and what comes back is "
        "at most a likeness of that mean. Look at the gallery, not at the rate alone."
    )


def success(run: Run) -> str:
    """What counts as rebuilt."""
    chance = run.data.get("chance")
    blind = (
        f" Picking blindly among the competitors succeeds {percent(chance)} of the time." if chance else ""
    )
    own = "identity" if one(run) == "person" else one(run)
    return (
        f"Rebuilt: the reconstruction is more similar (SSIM) to the mean private image of its own {own} than to "
        f"that of any other target and to the mean public image of any label.{blind}"
    )


def role(run: Run) -> str:
    """What the server used."""
    own = ", the public set and its own model." if run.own_model else " and the public set."
    return f"The server needed only what its role gives it: the {run.shared}{own}"


def size(count: int | None) -> str:
    """Bytes in decimal units."""
    if count is None:
        return "–"
    if count < 1000:
        return f"{count} B"
    for factor, unit in ((1e9, "GB"), (1e6, "MB")):
        if count >= factor:
            return f"{count / factor:.2f} {unit}"
    return f"{count / 1e3:.1f} kB"
