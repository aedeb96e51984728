"""One plain recommendation from what defenses left and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = 0.1
"""How far from one half the area under the curve may be for "who is at which client", whoever looks and however."""

KEPT = 0.5
"""Which share must stay of what federating buys."""

_NAMED = 3
"""More settings than this that could not be judged are counted and not named."""

Line = Mapping[str, Any]


def recommend(lines: Sequence[Line], bought: Mapping[str, Any] | None) -> dict[str, Any]:
    """What follows from the lines of ``defend.json``.

    A setting *hides* if the strongest score of identities is within `HIDDEN` of one half, neither an attack on images
    nor the audit of single images is shown to gain from private images, and none of these is missing. It *keeps* if
    clients have at least `KEPT` of what federating buys; where nothing is shown to be bought, if they are not shown to
    lose.

    Args:
        lines: the first is the federation without a defense.
        bought: what federating buys without one, with its interval.
    """
    plain, defended = lines[0], lines[1:]
    hides = [line for line in defended if hidden(line)]
    keeps = [line for line in defended if kept(line, bought)]
    both = [line for line in hides if any(line is other for other in keeps)]
    untold = [line for line in lines if clear(line) and line["missing"]]
    if distance(plain) is None:
        kind, chosen, sentence = "unknown", None, "Too little was computed for a recommendation."
    elif hidden(plain):
        kind, chosen = "needless", None
        sentence = "Nothing is shown to leak without a defense; by these measures none is needed."
    elif any(line is plain for line in untold):
        kind, chosen = "unknown", None
        sentence = "What was computed shows no leak without a defense, but not everything was."
    elif both:
        kind, chosen = "use", max(both, key=_accuracy)
        sentence = (
            f"Use {chosen['setting']}: nobody who was tried can tell who is at which client (area {_area(chosen)}), "
            f"nothing else is shown to leak, and {_price(chosen, bought)}."
        )
    elif hides:
        kind, chosen = "costly", max(hides, key=_accuracy)
        sentence = (
            f"What hides costs too much. {_capital(chosen['setting'])} costs least of it (area {_area(chosen)}), and "
            f"{_price(chosen, bought)}."
        )
    elif untold:
        kind, chosen = "unknown", None
        sentence = "No setting is known to hide who is at which client and which images were used."
    else:
        kind, chosen = "exposed", min((line for line in defended if distance(line) is not None),
                                      key=lambda line: distance(line) or 0.0, default=None)  # fmt: skip
        sentence = "No setting that was tried hides who is at which client and which images were used."
        if chosen is not None:
            nearest = f"{_capital(chosen['setting'])} comes nearest (area {_area(chosen)})"
            sentence = f"{sentence} {nearest}, and {_price(chosen, bought)}."
    return {
        "kind": kind,
        "setting": chosen["setting"] if chosen is not None else None,
        "sentence": sentence + _own(chosen, plain) + _untold(untold),
        "hides": [line["setting"] for line in hides],
        "keeps": [line["setting"] for line in keeps],
    }


def distance(line: Line) -> float | None:
    """How far from a coin the strongest score of identities is; None where there is none."""
    area = line["strongest"] or line["identity"]
    return None if area is None else abs(area["value"] - 0.5)


def hidden(line: Line) -> bool:
    """Whether nothing is shown to leak, and identities are near to a coin, with every attack and audit done."""
    return clear(line) and not line["missing"]


def clear(line: Line) -> bool:
    """The same of what was done."""
    far, records = distance(line), line["records"]
    seen = any(leak["shown"] for leak in line["leaks"].values()) or (
        records is not None and records["low"] > 0.5
    )
    return far is not None and far <= HIDDEN + 1e-9 and not seen


def kept(line: Line, bought: Mapping[str, Any] | None) -> bool:
    """Whether clients keep enough of what federating buys."""
    if buys(bought) and line["gain"] is not None:
        return bool(line["gain"]["difference"] >= KEPT * (bought or {})["difference"])
    loss = line["loss"]
    return loss is not None and (loss["high"] is None or loss["high"] >= 0)


def buys(bought: Mapping[str, Any] | None) -> bool:
    """Whether it is shown that federating buys something."""
    return bought is not None and bought["low"] is not None and bought["low"] > 0


def _accuracy(line: Line) -> float:
    """On all classes and on a client's own, added: what a client loses on its own it may gain on those of others."""
    return (line["accuracy"] or 0.0) + (line["own"] or 0.0)


def _area(line: Line) -> str:
    area = line["strongest"] or line["identity"]
    return f"{area['value']:.2f}"


def _price(line: Line, bought: Mapping[str, Any] | None) -> str:
    """What clients have left, in words."""
    if buys(bought) and bought is not None and line["gain"] is not None:
        share = line["gain"]["difference"] / bought["difference"]
        if share <= 0:
            return "clients are then no better than alone"
        return f"clients keep {share:.0%} of what federating buys"
    if line["loss"] is None:
        return "what it costs is not known"
    loss, bare = line["loss"], "federating is not shown to buy anything here"
    if loss["high"] is not None and loss["high"] < 0:
        return f"clients lose {-100 * loss['difference']:.1f} points of accuracy; {bare}"
    return f"clients are not shown to lose accuracy; {bare}"


def _own(chosen: Line | None, plain: Line) -> str:
    """What clients have left on the classes that they hold, in a sentence; empty where nobody knows."""
    if chosen is None or chosen["own"] is None or plain["own"] is None:
        return ""
    return f" On the classes that it holds a client is right in {chosen['own']:.0%}, and {plain['own']:.0%} without it."


def _untold(lines: Sequence[Line]) -> str:
    """What could not be judged because something is missing, and what: a sentence, or nothing."""
    if not lines:
        return ""
    said = []
    for line in lines[:_NAMED]:
        first, *rest = line["missing"]
        said.append(f"{line['setting']} ({first}{f'; and {len(rest)} more' if rest else ''})")
    more = f", and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return f" Not judged, since something is missing: {', '.join(said)}{more}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
