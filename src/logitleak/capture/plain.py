"""A description as plain values: YAML or JSON of a stranger, bounded, without aliases, and with no key twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from logitleak.errors import UserError
from logitleak.files.yaml_text import Loader

_MOST_BYTES = 4 * 2**20


def parse(path: Path) -> Any:
    """What a file says, by its suffix.

    Raises:
        UserError: it is too large, or not valid.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(f"is larger than {_MOST_BYTES >> 20} MiB; list long orders of files in public.table.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=_object)
        return yaml.load(text, _PlainLoader)
    except UserError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"is not valid {path.suffix[1:].upper()} ({error}).") from None


class _PlainLoader(Loader):
    """YAML without aliases: a few hundred bytes of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise UserError("Aliases (*name) are not read in a capture; write the value out.")
        return super().compose_node(parent, index)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise UserError(f"names a setting twice, in the object of {', '.join(list(made)[:5])}.")
    return made
