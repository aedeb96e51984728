"""The verdict of a game: the leak of the attack that was named before the truth was opened.

A leak is clear only where its interval and its exact test agree; how alike the images are can make it likely. The
other attacks are held to a test corrected for their number and never take the headline.
"""

from __future__ import annotations

from logitleak.report.parts.games import LEVEL, Comparison, Game, Gap, Leak, central, leak
from logitleak.report.parts.load import Attack, Run
from logitleak.report.parts.words import (
    NO_PROOF,
    NO_RATE,
    Verdict,
    in_brackets,
    many,
    nature,
    no_copy,
    one,
    out_of,
    owner_named,
    p_value,
    points,
    span,
)
from logitleak.report.run import leak_details
from logitleak.report.run.leak_details import IMAGES


def judge(run: Run, game: Game) -> Verdict | None:
    """Grade the game by its primary attack; None where no attack was compared."""
    compared = {attack.name: (attack, found) for attack in run.audited if (found := leak(attack))}
    compared = {name: pair for name, pair in compared.items() if central(game, pair[1])}
    if not compared:
        return None
    named = game.primary in compared
    attack, found = (
        compared[str(game.primary)] if named else max(compared.values(), key=lambda p: _size(game, p[1]))
    )
    main = central(game, found)
    assert main is not None
    assert main.leak is not None
    # An attack that was picked for its result is held to the corrected test; without one it cannot be clear.
    passed = game.shows(main) if named else game.shows_among(main, found.p_holm)
    grade, badge, reason = (
        _by_likeness(main, passed) if game.by_likeness else _grade(main, passed, found.p_holm)
    )
    others = [pair for name, pair in compared.items() if name != attack.name]
    details = [
        reason,
        *_about(game, attack, "owner" if main is found.owner else "chosen"),
        *leak_details.likeness(main),
        *leak_details.other_image(game, found),
        *leak_details.others(game, others),
        *leak_details.confounded(run, game),
        *leak_details.paper(attack),
        *owner_named(run, attack),
        nature(run),
    ]
    means_not = [
        leak_details.not_all(run, main),
        no_copy(run),
        NO_RATE,
        *([NO_PROOF] if grade == "quiet" else []),
    ]
    return Verdict(
        grade,
        badge,
        _headline(run, game, main, grade),
        details,
        leak_details.means(run, game),
        means_not,
        attack.name,
    )


def _size(game: Game, found: Leak) -> float:
    main = central(game, found)
    if main and game.by_likeness:
        return (
            main.wins.successes / max(1, main.wins.trials)
            if main.wins
            else main.auc.value
            if main.auc
            else 0.0
        )
    return main.leak.value if main and main.leak else float("-inf")


def _headline(run: Run, game: Game, main: Comparison, grade: str) -> str:
    assert main.leak is not None
    if game.by_likeness:
        return _headline_by_likeness(run, game, main)
    who = many(run)
    if run.data.get("synthetic"):
        who = "synthetic identities" if one(run) == "person" else f"synthetic {many(run)}"
    if game.design == "canaries":
        who = "planted people"
    inside, outside = out_of(main.inside), out_of(main.outside)
    tries = game.paired and (game.worlds or 2) > 2
    if not game.paired:
        withheld = "withheld by coin" if game.design in ("decoys", "canaries") else "not in the training"
        text = (
            f"The server rebuilt {inside} {who} whose images were used, and {outside} others whose images were "
            f"{withheld}"
        )
    elif tries:
        text = (
            f"With the private images in the training the server rebuilt its target in {inside} tries, without them "
            f"in {outside}"
        )
    else:
        same = f"{main.outside['successes']:g} of the same {main.outside['trials']:g}"
        text = f"The server rebuilt {inside} {who} when their images were used, and {same} when they were not"
    difference = main.leak.value
    name = "a leak of" if difference > 0 and grade != "quiet" else "a difference of"
    p = p_value(main.leak.p) if main.leak.p is not None else ""
    text += f": {name} {points(difference)} points{in_brackets(span(main.leak), p)}."
    if main.wins and main.wins.trials:
        p = in_brackets(p_value(main.wins.p) if main.wins.p is not None else "")
        text += (
            " The image rebuilt with the private images was the better likeness for "
            f"{main.wins.successes} of {main.wins.trials}{p}."
        )
    elif main.auc:
        p = in_brackets(p_value(main.auc.p) if main.auc.p is not None else "")
        text += f" Likeness to the truth tells the two groups apart with an AUC of {main.auc.value:.2f}{p}."
    return text


def _headline_by_likeness(run: Run, game: Game, main: Comparison) -> str:
    """The headline where public and private images are of one kind: whose image came out nearer to the truth."""
    where = " at one client" if game.unit != "person" else ""
    if main.wins and main.wins.trials:
        p = in_brackets(p_value(main.wins.p) if main.wins.p is not None else "")
        return (
            f"For {main.wins.successes} of {main.wins.trials} {many(run)} the image rebuilt where their private images"
            f"{where} were used is nearer to the truth than the one rebuilt where they were not{p}."
        )
    if main.auc:
        p = in_brackets(p_value(main.auc.p) if main.auc.p is not None else "")
        return (
            f"Likeness to the truth tells {many(run)} whose private images{where} were used from those whose were not "
            f"with an AUC of {main.auc.value:.2f}{p}."
        )
    return f"No image of a {one(run)} differs between the worlds in which its private images{where} were used or not."


def _by_likeness(main: Comparison, passed: bool) -> tuple[str, str, str]:
    """The grade where likeness decides."""
    why = "Public images are of the same classes, so the count of rebuilt targets says little, and likeness decides"
    if passed:
        return "clear", "Clear leak", f"{why}: it is beyond what a fair coin would do."
    return (
        "quiet",
        "No leak shown",
        f"{why}: this game does not show that the private images changed anything, and does not show that they did "
        "not.",
    )


def _grade(main: Comparison, passed: bool, p_holm: float | None) -> tuple[str, str, str]:
    """Grade, badge and reason.

    Args:
        main: what the verdict is about.
        passed: whether it is beyond chance.
        p_holm: its p after Holm's correction, which is asked of an attack that was picked for its result.
    """
    found = main.leak
    assert found is not None
    if passed:
        agrees = "" if found.p is None else ", and its exact test agrees"
        return "clear", "Clear leak", f"The leak is beyond chance: its interval lies above 0{agrees}."
    if found.below:
        sentence = (
            "The whole interval lies below 0: fewer came back with the private images than without. That is no leak; "
            "see what else differed between the two sides."
        )
        return "quiet", "No leak shown", sentence
    if sign := _sign(main):
        return (
            "likely",
            "Likely leak",
            f"The count of rebuilt targets alone does not settle it, but {sign}: it is likely that the private images "
            "changed what comes back.",
        )
    reach = (
        f"the interval still allows a leak of up to {points(found.high)} points"
        if found.high is not None
        else "without an interval nobody can say how large a leak it allows"
    )
    if found.above:
        why = _without_test(found, p_holm)
        sentence = (
            f"The interval lies above 0, but {why}, and likeness does not speak for a leak either; {reach}."
        )
    else:
        sentence = (
            "This game does not show that the private images changed anything, and does not show that they "
            f"did not: {reach}."
        )
    return "quiet", "No leak shown", sentence


def _without_test(found: Gap, p_holm: float | None) -> str:
    """Why a leak whose interval lies above 0 does not pass."""
    if found.p is None:
        return "there is no test that counts beside it"
    if found.p >= LEVEL:
        return "its exact test does not"
    if p_holm is None:
        return "its exact test is not corrected for the number of attacks, among which this one was picked"
    return f"its exact test, corrected for the number of attacks, does not ({p_value(p_holm)})"


def _sign(main: Comparison) -> str:
    """What likeness says for a leak; empty where it says nothing."""
    if not main.likeness_shown:
        return ""
    if main.wins:
        return "the images rebuilt with the private images win more often than a fair coin would"
    return "likeness tells the two groups apart better than a fair coin would"


def _about(game: Game, attack: Attack, image: str) -> list[str]:
    if game.primary == attack.name:
        return [
            f"The attack is {attack.name}, with {IMAGES[image]}: both were named before the truth was opened."
        ]
    lead = (
        f"{game.primary} was named before the truth was opened, but it was not compared"
        if game.primary
        else "No attack was named before the truth was opened"
    )
    most = "leak"
    if game.by_likeness:
        most = "share of wins" if game.paired else "AUC"
    widened = "" if game.by_likeness else "; its interval is not widened for that choice"
    return [
        f"{lead}: {attack.name} has the largest {most} with {IMAGES[image]}, so it is held to a test corrected for the "
        f"number of attacks{widened}."
    ]
