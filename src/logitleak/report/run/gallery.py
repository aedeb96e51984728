"""Images of the page: the lineup of a game, cards of the gallery, and strips over the rounds."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, features

from logitleak.report.parts.games import game, leak, number
from logitleak.report.parts.images import at
from logitleak.report.parts.load import Attack, Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

# More targets than this make the page heavy; the grids always hold all of them.
CARD_LIMIT = 80
STRIP_TARGETS = 5
STRIP_ROUNDS = 6
LINEUP = 20
QUALITY = 90

SIDES = {"in": "with its private images used", "out": "with its private images withheld"}
ABSENT = {"in": "withheld", "out": "not withheld"}
"""Why a target has no image on a side, where it was tried on the other side only."""


def data_uri(image: NDArray[Any]) -> str:
    """A [C,H,W] image in [0,1] as a data URI: WebP where Pillow can write it, else PNG."""
    buffer = io.BytesIO()
    if features.check("webp"):
        picture(image).save(buffer, "WEBP", quality=QUALITY, method=6)
        kind = "webp"
    else:
        picture(image).save(buffer, "PNG", optimize=True)
        kind = "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def picture(image: NDArray[Any]) -> Image.Image:
    """A [C,H,W] image as Pillow's: floats in [0,1], or bytes."""
    if image.dtype == np.uint8:
        return _pillow(image)
    # An attack may leave values outside of [0,1], or none at all; a picture shows them as the nearest it has.
    return _pillow((np.nan_to_num(np.clip(image, 0, 1), nan=0.5) * 255).round().astype(np.uint8))


def _pillow(pixels: NDArray[Any]) -> Image.Image:
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).convert("RGB")


def cards(run: Run) -> list[dict[str, Any]]:
    """One card for each target up to the limit: truth, public mean and every reconstruction.

    In a game an attack has two, in and out, and the primary attack comes first.
    """
    attacks = ordered(run)
    facts = [by_label(attack) for attack in attacks]
    played = [sides_by_label(attack) for attack in attacks]
    return [
        _card(
            run,
            (index, label),
            attacks,
            [fact.get(label, {}) for fact in facts],
            [sides.get(label, {}) for sides in played],
        )
        for index, label in enumerate(run.labels[:CARD_LIMIT])
    ]


def ordered(run: Run) -> list[Attack]:
    """The attacks as the page lists them: the primary one of a game before the others."""
    played = game(run)
    return sorted(run.attacks, key=lambda attack: played is None or attack.name != played.primary)


def sides_by_label(attack: Attack) -> dict[int, dict[str, dict[str, Any]]]:
    """Success and SSIM of every target in and out; empty without a game."""
    found = leak(attack)
    return found.per_target if found else {}


def _card(
    run: Run,
    target: tuple[int, int],
    attacks: list[Attack],
    facts: list[dict[str, Any]],
    played: list[dict[str, dict[str, Any]]],
) -> dict[str, Any]:
    index, label = target
    known = next((fact for fact in facts if fact), {})
    cells = []
    if (truth := at(run.truth, index)) is not None:
        cells.append(_cell("truth", "truth", truth, f"Private mean image of label {label}"))
    # All zeros stand for a label that has no public image.
    if (public := at(run.public, index)) is not None and public.any():
        average = next((f for a, f in zip(attacks, facts, strict=True) if a.name == "public-mean"), {})
        cells.append(_cell("public", "public mean", public, f"Public mean image of label {label}", average))
    for attack, fact, sides in zip(attacks, facts, played, strict=True):
        if attack.sides and attack.kind != "rival":
            cells.append(_duo(attack, index, label, sides))
            continue
        image = at(attack.images, index)
        if image is None or (attack.name == "public-mean" and run.public is not None):
            continue
        kind = "rival" if attack.kind == "rival" else "attack"
        cells.append(_cell(kind, attack.name, image, f"{attack.name}: reconstruction of label {label}", fact))
    return {
        "label": label,
        "name": known.get("name"),
        "owner": known.get("owner"),
        "cells": cells,
        "judged": {
            attack.name: _judged(fact, sides)
            for attack, fact, sides in zip(attacks, facts, played, strict=True)
            if attack.kind != "rival"
        },
    }


def _judged(fact: dict[str, Any], sides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the page sorts and filters by; in a game, by the image in."""
    close = {"close": fact.get("too_close_to_public")}
    if not sides:
        return {"ssim": fact.get("ssim"), "success": fact.get("success")} | close
    inside, outside = sides.get("in", {}), sides.get("out", {})
    score, other = number(inside, "ssim"), number(outside, "ssim")
    gain = score - other if score is not None and other is not None else None
    rate = number(inside, "success")
    hit = bool(rate) if rate in (0, 1) else None  # a share of worlds is neither
    gave = (inside.get("success") or 0) > (outside.get("success") or 0) if inside and outside else None
    return {"ssim": score, "success": hit, "gain": gain, "only": gave} | close


def _duo(attack: Attack, index: int, label: int, sides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The images in and out of one attack, to stand side by side; one may be missing."""
    cells = []
    for side, image in zip(SIDES, attack.sides.pair(index) if attack.sides else (), strict=False):
        if image is None:
            cells.append({"kind": "missing", "title": side, "why": ABSENT[side]})
            continue
        alt = f"{attack.name}: label {label} rebuilt {SIDES[side]}"
        cells.append(_cell(side, side, image, alt, sides.get(side)))
    return {"kind": "duo", "title": attack.name, "cells": cells}


def lineup(run: Run, best: str | None) -> dict[str, Any] | None:
    """The first picture of a game: every target (up to a limit) as it is, as the public knows it, in and out."""
    attack = next((one for one in run.audited if one.name == best and one.sides), None)
    if attack is None or attack.sides is None or not run.labels:
        return None
    shown = run.labels[:LINEUP]
    played = sides_by_label(attack)
    lines: list[dict[str, Any]] = []
    for name, stack in (("truth", run.truth), ("public", run.public)):
        images = [at(stack, index) for index in range(len(shown))]
        alt = "Private mean image of label" if name == "truth" else "Public mean image of label"
        cells = [
            _cell(name, name, image, f"{alt} {label}, in the lineup")
            if image is not None and image.any()
            else None
            for label, image in zip(shown, images, strict=True)
        ]
        lines.append({"kind": name, "name": name, "cells": cells})
    for place, side in enumerate(SIDES):
        cells = []
        for index, label in enumerate(shown):
            image = attack.sides.pair(index)[place]
            alt = f"{attack.name}: label {label} rebuilt {SIDES[side]}, in the lineup"
            fact = played.get(label, {}).get(side)
            cells.append(_cell(side, side, image, alt, fact) if image is not None else None)
        lines.append({"kind": side, "name": side, "cells": cells})
    lines = [line for line in lines if any(line["cells"])]
    return {"attack": attack.name, "labels": shown, "lines": lines, "all": len(run.labels)}


def _cell(
    kind: str, title: str, image: NDArray[Any], alt: str, fact: dict[str, Any] | None = None
) -> dict[str, Any]:
    mark, word = mark_of(fact)
    ssim = (fact or {}).get("ssim")
    if fact and mark:
        alt = f"{alt}, {word}" + (f", SSIM {ssim:.2f}" if ssim is not None else "")
    match = str((fact or {}).get("best_match") or "").replace(":", " ")
    return {
        "kind": kind,
        "title": title,
        "src": data_uri(image),
        "alt": alt,
        "ssim": ssim,
        "mark": mark,
        "word": word,
        # A success matched its own truth by definition; only a miss is worth the words.
        "match": match if mark in ("miss", "close") else "",
        "chosen": (fact or {}).get("chosen"),
    }


def mark_of(fact: dict[str, Any] | None) -> tuple[str, str]:
    """The mark under an image and its word: the shape and the word carry it, color only helps."""
    if not fact or fact.get("success") is None:
        return "", ""
    if 0 < fact["success"] < 1:
        return "part", f"in {fact['success']:.0%}"
    if fact["success"]:
        return "hit", "rebuilt"
    return ("close", "too public") if fact.get("too_close_to_public") else ("miss", "missed")


def by_label(attack: Attack) -> dict[int, dict[str, Any]]:
    """The paper's measure of each target."""
    return {row["label"]: row for row in attack.per_target if "label" in row}


def strips(run: Run, best: str | None) -> list[dict[str, Any]]:
    """For each attack that was run in several rounds: a few targets from round to round."""
    shown = _strip_targets(run, best)
    return [_strip(run, attack, shown) for attack in run.audited if len(attack.rounds) > 1 and shown]


def _strip_targets(run: Run, best: str | None) -> list[int]:
    """Targets evenly over the ranking by SSIM, best to worst: not only the ones that look good."""
    count = len(run.labels)
    ranked = list(range(count))
    scored = next((by_label(attack) for attack in run.audited if attack.name == best), {})
    if len(scored) == count:
        ranked.sort(key=lambda index: -(scored[run.labels[index]].get("ssim") or 0.0))
    return evenly(ranked, STRIP_TARGETS)


def evenly(items: list[int], count: int) -> list[int]:
    """So many of the items, evenly spread, first and last among them."""
    if len(items) <= count:
        return items
    return [items[round(step * (len(items) - 1) / max(count - 1, 1))] for step in range(count)]


def _strip(run: Run, attack: Attack, shown: list[int]) -> dict[str, Any]:
    rounds = evenly(list(attack.rounds), STRIP_ROUNDS)
    lines = []
    for index in shown:
        label = run.labels[index]
        truth = at(run.truth, index)
        images = [(round_, at(attack.rounds[round_], index)) for round_ in rounds]
        lines.append(
            {
                "label": label,
                "truth": data_uri(truth) if truth is not None else None,
                "images": [
                    {"src": data_uri(image), "alt": f"{attack.name}: label {label} at round {round_}"}
                    for round_, image in images
                    if image is not None
                ],
            }
        )
    return {"name": attack.name, "rounds": rounds, "lines": lines, "all_rounds": len(attack.rounds)}
