"""Images of the report: cards of the gallery, strips over the rounds, and the grids beside the page."""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from logitleak.report.load import Attack, Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

# More targets than this make the page heavy; the grids always hold all of them.
CARD_LIMIT = 80
STRIP_TARGETS = 5
STRIP_ROUNDS = 6
GRID_COLUMNS = 20
QUALITY = 90


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
    """A [C,H,W] image in [0,1] as Pillow's."""
    # An attack may leave values outside of [0,1], or none at all; a picture shows them as the nearest it has.
    pixels = (np.nan_to_num(np.clip(image, 0, 1), nan=0.5) * 255).round().astype(np.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).convert("RGB")


def cards(run: Run) -> list[dict[str, Any]]:
    """One card for each target up to the limit: truth, public mean and every reconstruction."""
    facts = [_by_label(attack) for attack in run.attacks]
    return [
        _card(run, index, label, [fact.get(label, {}) for fact in facts])
        for index, label in enumerate(run.labels[:CARD_LIMIT])
    ]


def _card(run: Run, index: int, label: int, facts: list[dict[str, Any]]) -> dict[str, Any]:
    known = next((fact for fact in facts if fact), {})
    cells = []
    if (truth := at(run.truth, index)) is not None:
        cells.append(_cell("truth", "truth", truth, f"Private mean image of label {label}"))
    # All zeros stand for a label that has no public image.
    if (public := at(run.public, index)) is not None and public.any():
        average = next((f for a, f in zip(run.attacks, facts, strict=True) if a.name == "public-mean"), {})
        cells.append(_cell("public", "public mean", public, f"Public mean image of label {label}", average))
    for attack, fact in zip(run.attacks, facts, strict=True):
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
            attack.name: {
                "ssim": fact.get("ssim"),
                "success": fact.get("success"),
                "close": fact.get("too_close_to_public"),
            }
            for attack, fact in zip(run.attacks, facts, strict=True)
            if attack.kind != "rival"
        },
    }


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
    if fact["success"]:
        return "hit", "rebuilt"
    return ("close", "too public") if fact.get("too_close_to_public") else ("miss", "missed")


def _by_label(attack: Attack) -> dict[int, dict[str, Any]]:
    return {row["label"]: row for row in attack.per_target if "label" in row}


def at(stack: NDArray[Any] | None, index: int) -> NDArray[Any] | None:
    """One image of a stack that may be missing or too short."""
    return stack[index] if stack is not None and index < len(stack) else None


def strips(run: Run, best: str | None) -> list[dict[str, Any]]:
    """For each attack that was run in several rounds: a few targets from round to round."""
    shown = _strip_targets(run, best)
    return [_strip(run, attack, shown) for attack in run.audited if len(attack.rounds) > 1 and shown]


def _strip_targets(run: Run, best: str | None) -> list[int]:
    """Targets evenly over the ranking by SSIM, best to worst: not only the ones that look good."""
    count = len(run.labels)
    ranked = list(range(count))
    scored = next((_by_label(attack) for attack in run.audited if attack.name == best), {})
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


def grids(run: Run) -> dict[str, bytes]:
    """A PNG for each attack with exact pixels: truth, public mean and reconstruction of every target."""
    files: dict[str, bytes] = {}
    for attack in run.attacks:
        if attack.images is None:
            continue
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", attack.name).lstrip(".") or "attack"
        while f"{stem}.png" in files:
            stem += "_"
        files[f"{stem}.png"] = _grid(run, attack)
    return files


def _grid(run: Run, attack: Attack) -> bytes:
    assert attack.images is not None
    stacks = [("truth", run.truth), ("public", run.public), (attack.name, attack.images)]
    present = [(name, stack) for name, stack in stacks if stack is not None]
    height, width = attack.images.shape[-2:]
    # Small images are enlarged by a whole factor, so that a pixel stays a pixel.
    zoom = max(1, -(-64 // width))
    cell_w, cell_h, margin, gap, caption = width * zoom, height * zoom, 76, 3, 16
    count = len(attack.images)
    columns = min(GRID_COLUMNS, count)
    block = len(present) * (cell_h + gap) + caption + 8
    sheet = Image.new("RGB", (margin + columns * (cell_w + gap), block * -(-count // columns)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    facts = _by_label(attack)
    for index in range(count):
        left, top = margin + (index % columns) * (cell_w + gap), (index // columns) * block
        for row, (name, stack) in enumerate(present):
            down = top + row * (cell_h + gap)
            if index % columns == 0:
                pen.text((4, down + cell_h // 2 - 6), name[:11], fill="black", font=font)
            if index < len(stack):
                face = picture(stack[index]).resize((cell_w, cell_h), Image.Resampling.NEAREST)
                sheet.paste(face, (left, down))
        label = run.labels[index] if index < len(run.labels) else index
        word = mark_of(facts.get(label))[1]
        under = top + len(present) * (cell_h + gap)
        pen.text((left + 1, under), f"{label} {word}".strip(), fill="black", font=font)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
