"""Strips as PNG files with exact pixels: title, columns and targets are written into the picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from logitleak.report.parts.images import at
from logitleak.report.run.gallery import mark_of, picture
from logitleak.report.sweep.strips import Column, Strip

GAP, LETTER, LINE = 4, 6.2, 13


def sheet(strip: Strip, title: str, warning: str = "") -> bytes:
    """One picture of a strip; a warning stands under the title."""
    side = strip.columns[0].images.shape[-1]
    # Small images are enlarged by a whole factor, so that a pixel stays a pixel.
    zoom = max(1, -(-96 // side))
    cell = side * zoom
    heads = [_wrapped(column.title, cell) for column in strip.columns]
    above = [line for line in (title, strip.name, warning) if line]
    top = LINE * (len(above) + max(len(lines) for lines in heads)) + 12
    left = 10 + round(LETTER * max(len(strip.labels[target]) for target in strip.targets)) + 8
    high = cell + LINE + GAP
    width = max(left + (cell + GAP) * len(heads), round(LETTER * max(len(line) for line in above)) + 12)
    page = Image.new("RGB", (width, top + high * len(strip.targets)), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=11)
    for row, line in enumerate(above):
        pen.text((4, 2 + LINE * row), line, fill="black", font=font)
    for place, (column, lines) in enumerate(zip(strip.columns, heads, strict=True)):
        x = left + (cell + GAP) * place
        for row, line in enumerate(lines):
            pen.text((x, top - LINE * (len(lines) - row) - 3), line, fill="black", font=font)
        for row, target in enumerate(strip.targets):
            y = top + high * row
            if place == 0:
                pen.text((6, y + cell // 2 - 6), strip.labels[target], fill="black", font=font)
            _paste(page, pen, font, column, target, (x, y), cell)
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()


def _paste(
    page: Image.Image,
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    column: Column,
    target: int,
    place: tuple[int, int],
    cell: int,
) -> None:
    image = at(column.images, target)
    if image is None or (column.kind == "public" and not image.any()):
        return
    page.paste(picture(image).resize((cell, cell), Image.Resampling.NEAREST), place)
    fact = column.facts[target] if target < len(column.facts) else {}
    ssim = fact.get("ssim")
    under = " ".join(filter(None, [f"{ssim:.2f}" if ssim is not None else "", mark_of(fact)[1]]))
    pen.text((place[0] + 1, place[1] + cell), under, fill="black", font=font)


def _wrapped(text: str, width: int) -> Sequence[str]:
    """The text in lines that fit over a column; a word that does not is cut."""
    most = max(4, int(width / LETTER))
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if len(joined) > most and lines[-1]:
            lines.append(word[:most])
        else:
            lines[-1] = joined[:most]
    return lines
