"""The sentences below the headline of a game: likeness, the other image, the other attacks, how in and out compare."""

from __future__ import annotations

from logitleak.report.parts.games import Comparison, Game, Leak, central
from logitleak.report.parts.load import Attack, Run
from logitleak.report.parts.words import (
    accuracy,
    count,
    in_brackets,
    interval,
    listed,
    many,
    one,
    out_of,
    p_value,
    percent,
    points,
    role,
    span,
    success,
)

IMAGES = {
    "chosen": "the image that the attack itself chooses among the clients’",
    "owner": "the image rebuilt from the uploads of the client that holds the target",
}


def likeness(main: Comparison) -> list[str]:
    """Mean likeness in and out."""
    if main.ssim_in is None or main.ssim_out is None:
        return []
    difference = main.ssim.value if main.ssim else main.ssim_in - main.ssim_out
    low, high = (main.ssim.low, main.ssim.high) if main.ssim else (None, None)
    within = (
        f"95% interval {low:.3f} to {high:.3f}".replace("-", "−")
        if low is not None and high is not None
        else ""
    )
    text = (
        f"Mean likeness (SSIM to the truth) is {main.ssim_in:.2f} in and {main.ssim_out:.2f} out, a difference of "
        f"{difference:.3f}{in_brackets(within)}"
    ).replace(" -", " −")
    ties = main.wins.ties if main.wins else 0
    left = f"; {count(ties, 'tie')} left out of the wins" if ties else ""
    return [f"{text}{left}."]


def other_image(game: Game, found: Leak) -> list[str]:
    """The image that does not make the headline, in one sentence."""
    asked = central(game, found)
    name, other = ("owner", found.owner) if asked is found.chosen else ("chosen", found.chosen)
    if other is None or not (other.leak and other.inside and other.outside):
        return []
    p = p_value(other.leak.p) if other.leak.p is not None else ""
    return [
        f"With {IMAGES[name]} it rebuilt {out_of(other.inside)} in and {out_of(other.outside)} out: "
        f"{points(other.leak.value)} points{in_brackets(span(other.leak), p)}."
    ]


def others(game: Game, others: list[tuple[Attack, Leak]]) -> list[str]:
    """Which of the other attacks leak too, after Holm's correction for their number."""
    tested = [(attack, found) for attack, found in others if found.p_holm is not None]
    lines = []
    if tested:
        yes: list[str] = []
        no: list[str] = []
        for attack, found in tested:
            main = central(game, found)
            passed = bool(main and game.shows_among(main, found.p_holm))
            (yes if passed else no).append(f"{attack.name}{in_brackets(p_value(found.p_holm or 0.0))}")
        which = f"{listed(yes)} {'leaks' if len(yes) == 1 else 'leak'} too" if yes else "none shows a leak"
        rest = (
            f"; {listed(no)} {'does' if len(no) == 1 else 'do'} not"
            if yes and no
            else f": {listed(no)}"
            if no
            else ""
        )
        lines.append(f"Of the other attacks, after Holm’s correction, {which}{rest}.")
    if untested := [pair for pair in others if pair[1].p_holm is None]:
        said = []
        for attack, found in untested:
            main = central(game, found)
            if main and game.by_likeness:
                said.append(f"{attack.name} {likeness_of(main)}")
            elif main and main.leak:
                said.append(f"{attack.name} {points(main.leak.value)} points{in_brackets(span(main.leak))}")
        lines.append(f"Other attacks, not corrected for their number: {listed(said)}.")
    return lines


def likeness_of(main: Comparison) -> str:
    """How in and out compare where likeness decides, in a few words."""
    if main.wins and main.wins.trials:
        return f"{main.wins.successes} of {main.wins.trials} wins"
    return f"an AUC of {main.auc.value:.2f}" if main.auc else "no wins"


def confounded(run: Run, game: Game) -> list[str]:
    """How far the two sides can be compared, where they are not the same people."""
    if game.paired:
        return []
    text = f"In and out are different {many(run)}: the comparison is unpaired and needs more of them than twins would."
    if game.design in ("decoys", "canaries"):
        return [f"{text} A coin decided who was withheld."]
    return [
        f"{text} The run does not know how the owner decided who takes part; if it was no coin, they may differ."
    ]


def paper(attack: Attack) -> list[str]:
    """The paper's measure, so that nobody takes it for the leak."""
    found = accuracy(attack)
    if not found:
        return []
    return [
        f"By the paper’s measure, which asks for likeness whatever it came from, {attack.name} rebuilt {out_of(found)} "
        f"({percent(found['value'])}, {interval(found)})."
    ]


def means(run: Run, game: Game) -> list[str]:
    """What in and out are, and what counts as rebuilt."""
    withheld = "withheld from everybody" if game.unit == "person" else "withheld"
    how = {
        "twins": (
            "In and out: the federation was run in several worlds, alike in everything but whose private images were "
            f"used. Each target is in (its images were used) in one half of the worlds and out ({withheld}) in the "
            "other. What comes back only when it is in, its images gave away."
        ),
        "decoys": (
            f"In and out: sealed coins decided whose private images were used (in) and whose were {withheld} (out). "
            "The server attacked all of them without knowing which is which."
        ),
    }
    how["canaries"] = (
        "In and out: made-up people were planted among the clients’ data. Sealed coins decided whose images were used "
        "(in) and whose were withheld from everybody (out). They stand for the real targets, who all took part."
    )
    recorded = "In and out: the owner of the data said whose images took part (in) and whose did not (out)."
    units = {
        "person-at-client": (
            f"One client's images of each {one(run)} are in or out; other clients keep theirs all the time. The client "
            "was drawn beforehand among those that hold any, and its images are the truth that is compared with."
        ),
        "image": (
            f"One image of each {one(run)} at one client is in or out; all others take part all the time. It was drawn "
            "beforehand, and is the truth that is compared with."
        ),
    }
    unit = [units[game.unit]] if game.unit in units else []
    return [how.get(game.design, recorded), *unit, success(run), role(run)]


def not_all(run: Run, main: Comparison) -> str:
    """What a game leaves out."""
    text = f"Not all that the server can show of a {one(run)}: what comes back out as well was public, or guessed"
    if main.both == 1:
        return f"{text}. Here 1 was rebuilt both in and out, and does not count as leaked."
    if main.both:
        return f"{text}. Here {main.both} were rebuilt both in and out, and do not count as leaked."
    return f"{text}, and is not counted as leaked."
