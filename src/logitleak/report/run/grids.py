"""Grids beside the page: PNG files with exact pixels of every target."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFont

from logitleak.report.parts.images import at
from logitleak.report.parts.load import Attack, Run
from logitleak.report.run.gallery import by_label, mark_of, picture, sides_by_label

if TYPE_CHECKING:
    from logitleak.report.parts.images import Images

    Row = tuple[str, Images]

COLUMNS = 20


def grids(run: Run) -> dict[str, bytes]:
    """A PNG for each attack: truth, public mean and reconstruction of every target; in a game in and out."""
    files: dict[str, bytes] = {}
    for attack in run.attacks:
        if not _stacks(run, attack)[1]:
            continue
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", attack.name).lstrip(".") or "attack"
        while f"{stem}.png" in files:
            stem += "_"
        files[f"{stem}.png"] = _grid(run, attack)
    return files


def _stacks(run: Run, attack: Attack) -> tuple[list[Row], list[Row]]:
    """The rows above, which every attack shares, and the attack's own."""
    above = [("truth", run.truth), ("public", run.public)]
    own: list[tuple[str, Images | None]] = [(attack.name, attack.images)]
    if attack.sides and attack.kind != "rival":
        inside, outside = attack.sides.last()
        own = [("in", inside), ("out", outside)]
    return [(n, s) for n, s in above if s is not None], [(n, s) for n, s in own if s is not None]


def _grid(run: Run, attack: Attack) -> bytes:
    above, own = _stacks(run, attack)
    present = [*above, *own]
    height, width = own[0][1].shape[-2:]
    # Small images are enlarged by a whole factor, so that a pixel stays a pixel.
    zoom = max(1, -(-64 // width))
    cell_w, cell_h, margin, gap, caption = width * zoom, height * zoom, 76, 3, 16
    played = sides_by_label(attack)
    said = caption if played else 0
    count = max(len(stack) for _, stack in own)
    columns = min(COLUMNS, count)
    high = {name: cell_h + gap + (said if name in ("in", "out") else 0) for name, _ in present}
    block = sum(high[name] for name, _ in present) + caption + 8
    sheet = Image.new("RGB", (margin + columns * (cell_w + gap), block * -(-count // columns)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    facts = by_label(attack)
    for index in range(count):
        left, down = margin + (index % columns) * (cell_w + gap), (index // columns) * block
        label = run.labels[index] if index < len(run.labels) else index
        for name, stack in present:
            if index % columns == 0:
                pen.text((4, down + cell_h // 2 - 6), name[:11], fill="black", font=font)
            if (image := _image(attack, name, stack, index)) is not None:
                face = picture(image).resize((cell_w, cell_h), Image.Resampling.NEAREST)
                sheet.paste(face, (left, down))
            if fact := played.get(label, {}).get(name):
                pen.text((left + 1, down + cell_h + 1), _score(fact), fill="black", font=font)
            down += high[name]
        word = "" if played else mark_of(facts.get(label))[1]
        pen.text((left + 1, down), f"{label} {word}".strip(), fill="black", font=font)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _image(attack: Attack, name: str, stack: Images, index: int) -> Images | None:
    if attack.sides and stack is attack.sides.last()[0] and name == "in":
        return attack.sides.pair(index)[0]
    if attack.sides and stack is attack.sides.last()[1] and name == "out":
        return attack.sides.pair(index)[1]
    return at(stack, index)


def _score(fact: dict[str, Any]) -> str:
    """SSIM and a short word: a cell is too narrow for a long one."""
    ssim = fact.get("ssim")
    mark, word = mark_of(fact)
    return f"{f'{ssim:.2f}' if ssim is not None else ''} {word if mark == 'part' else mark}".strip()
