"""What `logitleak data prepare` says of a data set: what is there, what is missing, what is amiss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from logitleak.config import DataConfig
from logitleak.data.base import Dataset, Origin, Survey
from logitleak.data.duplicates import Kind, near_duplicates
from logitleak.data.overview import build, describe
from logitleak.data.selection import choose_identities

_SHOWN = 3  # examples of a kind; the rest is counted


def prepare(source: str, root: Path | None, image_size: int) -> Iterator[str]:
    """Decode a data set into the cache, and describe it in lines.

    Raises:
        UserError: an unknown source, a size that no run takes, or a folder of another layout.
    """
    made = build(source, root, image_size)
    survey = made.survey()
    dataset = made.load()
    yield from describe(dataset)
    yield from left_out(dataset)
    if made.origin is not None:
        yield f"  {completeness(made.origin, survey)}"
    repeats = near_duplicates(dataset)
    if repeats:
        counts = Counter(repeat.kind for repeat in repeats)
        kinds = {
            Kind.PERSON: "of another person",
            Kind.DOMAIN: "of the same person in the other domain",
            Kind.SAME: "of the same person in the same domain",
        }
        told = ", ".join(f"{counts[kind]} {words}" for kind, words in kinds.items() if counts[kind])
        yield f"  {len(repeats)} near-duplicates, kept: {told}"
        for repeat in repeats[:_SHOWN]:
            yield f"    {repeat.file} is like {repeat.of}"
    if made.origin is not None:
        yield f"  published: {made.origin.published}"
        yield f"  terms: {made.origin.terms}"


def left_out(dataset: Dataset) -> Iterator[str]:
    """A line for each reason why people cannot take part in a run of these two domains."""
    if dataset.insensitive is None:
        return
    counts, other = Counter(dataset.sensitive.identities), set(dataset.insensitive.identities)
    reasons: dict[str, list[str]] = {}
    for skipped in choose_identities(counts, other, DataConfig())[1]:
        reasons.setdefault(skipped.reason, []).append(skipped.path)
    for reason, names in reasons.items():
        yield f"  left out: {len(names)} with {reason} ({_some(names)})"


def completeness(origin: Origin, survey: Survey) -> str:
    """Whether all that was published is there, or what is not."""
    counts = Counter(survey.sensitive) + Counter(survey.insensitive or {})
    people, images = len(counts), counts.total()
    found = f"found {people:,} of {origin.people:,} people and {images:,} of {origin.images:,} images"
    strange = bool(origin.each) and not counts.keys() <= origin.each.keys()
    if strange or people > origin.people or images > origin.images:
        return f"{found}: more than was published; is another set mixed in?"
    lacking = [(name, number) for name, number in origin.each.items() if counts[name] < number]
    if lacking:
        return f"{found}; missing: {_some([f'{name} has {counts[name]} of {number}' for name, number in lacking])}"
    if (people, images) == (origin.people, origin.images):
        return f"complete: all {people:,} people and {images:,} images that were published"
    return f"{found}; {origin.note}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
