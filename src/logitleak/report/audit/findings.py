"""What an audit found, question by question, in plain sentences: what the page says first, and what a gate looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from logitleak.report.parts.load import rows, table
from logitleak.report.parts.words import percent
from logitleak.text import noun_of, plural

CLEAR = 0.8
"""An area whose whole interval is above this gives members away."""


@dataclass(frozen=True)
class Claim:
    """What one area under the curve is about. Who took part is one claim, and at which client somebody is another.

    Attributes:
        about: such as "which people took part".
        grade: "clear", "likely" or "none" (nothing was shown).
        sentence: what was found of it.
        value, low, high: the area and its interval.
        sizes: how many members and others it is of.
    """

    about: str
    grade: str
    sentence: str
    value: float
    low: float
    high: float
    sizes: tuple[int, int]


@dataclass(frozen=True)
class Finding:
    """One answer.

    Attributes:
        audit: the audit's name, or "epsilon".
        title: what it is about.
        grade: "clear", "likely", "none" (nothing was shown) or "unknown" (nobody can say).
        sentence: the answer.
        value, low, high: the number behind it and its interval; None where there is none. Of several claims it is the
            one whose interval begins highest.
        claims: all areas behind it, each with what it is about; empty of other numbers.
        ceiling: the largest bound on epsilon that its coins could show; None of other numbers.
    """

    audit: str
    title: str
    grade: str
    sentence: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    claims: tuple[Claim, ...] = ()
    ceiling: float | None = None


_TITLES = {
    "identity": "Who is where",
    "never-queried": "Single images, never asked about",
    "queried": "Single images, asked about",
    "shares": "How much of each class",
    "stealing": "The model itself",
}


def findings(found: dict[str, Any]) -> list[Finding]:
    """The answers of ``audit.json``, in the order of its audits, and the bound on ε at the end."""
    listed = []
    for question in rows(found, "audits"):
        name = str(question.get("audit"))
        title = _TITLES.get(name, str(question.get("summary")))
        listed.append(_finding(name, title, question, found))
    return [*listed, _epsilon(found)]


def main_result(question: dict[str, Any]) -> dict[str, Any] | None:
    """The result of the variant that was named beforehand, for who sees most; None where there is none."""
    return next(iter(rows(strongest(question), "variants")), None)


def strongest(question: dict[str, Any]) -> dict[str, Any]:
    """What who sees most finds; empty where nobody sees anything."""
    return next(iter(rows(question, "views")), {})


def _finding(name: str, title: str, question: dict[str, Any], found: dict[str, Any]) -> Finding:
    seen = strongest(question)
    if seen.get("refused"):
        return Finding(name, title, "unknown", seen["refused"])
    result = main_result(question)
    answer = question.get("answer")
    if not result or not any(result.get(key) for key in ("game", "clients", "shares", "models")):
        return _unjudged(name, title, question, found)
    if answer in ("membership", "records"):
        return detected(name, title, result, answer == "records", noun_of(found.get("noun")))
    hidden = table(found, "data").get("aggregation", "plain") != "plain"
    if answer == "shares":
        return _shares(name, title, question, result, hidden)
    return _models(name, title, result, hidden)


def _unjudged(name: str, title: str, question: dict[str, Any], found: dict[str, Any]) -> Finding:
    estimate = table(table(question, "estimate"), "game")
    if estimate:
        area = estimate["area"]
        return Finding(
            name, title, "unknown",
            "Nobody said who holds what, so the scores of this federation are not judged. Estimate: in a federation of "
            f"public people that the server played by itself, the same audit has an area of {_area(area)}.",
        )  # fmt: skip
    if found.get("truth"):
        return Finding(name, title, "unknown", "There is nobody to compare with in this federation.")
    return Finding(
        name, title, "unknown",
        "Nobody said who holds what, so its scores are not judged; they are in audit/scores.csv. Twins, decoys or "
        "canaries would give the truth.",
    )  # fmt: skip


def detected(name: str, title: str, result: dict[str, Any], records: bool, noun: str) -> Finding:
    """What scores of members and others say.

    Args:
        name, title: of the audit.
        result: its result, with a game, clients, or both: a game says who took part, clients say who is where.
        records: whether they are of single images; else of what a label stands for.
        noun: what that is.
    """
    game, clients = table(result, "game"), table(result, "clients")
    what = "images" if records else plural(noun)
    claims = []
    if clients:
        claims.append(_at_which_client(clients, what))
    if game:
        claims.append(_who_took_part(game, what, "were used" if records else "took part"))
    most = max(claims, key=lambda one: one.low)
    sentence = " ".join(one.sentence for one in claims)
    return Finding(name, title, most.grade, sentence, most.value, most.low, most.high, tuple(claims))


def _at_which_client(clients: dict[str, Any], what: str) -> Claim:
    named = clients.get("named")
    rest = (
        f"; a client that holds them is named for {named['successes']:g} of {named['trials']:g}"
        if named
        else ""
    )
    return _claim(f"at which client which {what} are", clients["area"], rest)


def _who_took_part(game: dict[str, Any], what: str, did: str) -> Claim:
    rest, power = "", ""
    if (pairs := game.get("pairs")) and pairs["trials"]:
        of = pairs["trials"] + pairs["ties"]
        rest = f"; {pairs['successes']:g} of {of:g} {what} score higher when they were used"
    if _grade(game["area"]) == "none":
        power = (
            f" So many would have shown an area of {game['detectable']:.2f} with a chance of 80%; what is smaller may "
            "still be there."
        )
    return _claim(f"which {what} {did}", game["area"], rest, power)


def _claim(about: str, area: dict[str, Any], rest: str, power: str = "") -> Claim:
    grade = _grade(area)
    said = {
        "clear": "The uploads tell",
        "likely": "The uploads say something of",
        "none": "Nothing was shown of",
    }
    sentence = f"{said[grade]} {about}: area under the curve {_area(area)}{rest}.{power}"
    sizes = area["positives"], area["negatives"]
    return Claim(about, grade, sentence, area["value"], area["low"], area["high"], sizes)


def _grade(area: dict[str, Any]) -> str:
    return "clear" if area["low"] > CLEAR else "likely" if area["low"] > 0.5 else "none"


def _shares(name: str, title: str, question: dict[str, Any], result: dict[str, Any], hidden: bool) -> Finding:
    shares = table(result, "shares")
    ours = table(shares, "mean").get("total_variation")
    uniform = next((one for one in rows(strongest(question), "variants") if one["variant"] == "uniform"), {})
    blind = table(table(uniform, "shares"), "mean").get("total_variation")
    if ours is None or blind is None:
        presence = shares.get("presence")
        if presence is None:
            return Finding(name, title, "unknown", "No client answered, so there is nothing to say.")
        return Finding(
            name, title, "unknown",
            "Nobody said how much of each class a client holds, so its shares are not judged. Whether a class is at a "
            f"client at all: area {_area(presence)}.",
        )  # fmt: skip
    grade = "clear" if ours < 0.5 * blind else "likely" if ours < blind else "none"
    where = "all clients together" if hidden else "a client"
    said = (
        f"The shares of the classes at {where} are estimated with an error of {percent(ours)} of its images (total "
        f"variation); without looking it would be {percent(blind)}."
    )
    if presence := shares.get("presence"):
        said += f" Whether a class is at {'any' if hidden else 'a'} client at all: area {_area(presence)}."
    return Finding(name, title, grade, said, ours)


def _models(name: str, title: str, result: dict[str, Any], hidden: bool) -> Finding:
    models = table(result, "models")
    agreement, gain = models["agreement"], table(models, "gain")
    low = gain.get("low")
    grade = "unknown" if low is None else "clear" if low > 0.1 else "likely" if low > 0 else "none"
    of_what = "mean says what a client's" if hidden else "upload says what the client's"
    said = f"A student of the last {of_what} model says for {percent(agreement['value'])} of held-out images"
    if low is not None:
        said += (
            f", {100 * gain['difference']:+.0f} points [{100 * low:+.0f} to {100 * gain['high']:+.0f}] against "
            f"{_UNSTOLEN.get(str(models.get('against')), 'the best model that nobody stole')}"
        ).replace("-", "−")
    return Finding(name, title, grade, f"{said}.", gain.get("difference"), low, gain.get("high"))


_UNSTOLEN = {
    "server's own model": "the server's own model",
    "student of the server": "a student of the server's model",
    "public labels": "a student of the public labels",
}


def _epsilon(found: dict[str, Any]) -> Finding:
    title, bounds = "Empirical epsilon", []
    why = "no audit of this federation has coins to guess."
    for question in rows(found, "audits"):
        name = str(question.get("audit"))
        epsilon = table(main_result(question) or {}, "epsilon")
        if epsilon.get("bound") is not None:
            bounds.append((epsilon["bound"], name, epsilon))
        elif epsilon.get("none") and name == "identity":
            why = str(epsilon["none"])
    if not bounds:
        return Finding("epsilon", title, "unknown", f"There is no bound: {why}")
    bound, name, epsilon = bounds[
        0
    ]  # audits in their order: the largest of several would have to be paid for
    guesses = (
        f"{epsilon['right']} of {epsilon['guesses']} guesses right for {epsilon['coins']} coins, by {name}"
    )
    sentence = (
        f"ε ≥ {bound:.2f} at δ = {epsilon['delta']:g}, unit: {_unit(epsilon, found)}, adjacency: "
        f"{epsilon['adjacency']} (95%, {guesses}). This game could have shown {epsilon['ceiling']:.2f} at most. "
        "A lower bound: a better attack may show more."
    )
    grade = "clear" if bound > 1 else "likely" if bound > 0 else "none"
    return Finding("epsilon", title, grade, sentence, bound, bound, ceiling=epsilon["ceiling"])


def _unit(epsilon: dict[str, Any], found: dict[str, Any]) -> str:
    """What one coin decided about, in the words of the data: person, class, image."""
    return str(epsilon["unit"]).replace("-", " ").replace("person", noun_of(found.get("noun")))


def _area(area: dict[str, Any]) -> str:
    """Such as `0.98 [0.91 to 1.00]`."""
    return f"{area['value']:.3f} [{area['low']:.2f} to {area['high']:.2f}]"
