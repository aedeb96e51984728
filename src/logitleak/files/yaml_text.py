"""YAML as people mean it: no key twice, and only true and false are truth values."""

from __future__ import annotations

import re
from typing import Any

import yaml

from logitleak.errors import UserError
from logitleak.text import printable


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but of a key that is there twice it does not keep the last without a word, and yes, no, on
    and off are words, as in YAML 1.2. Merge keys (<<) work."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    line = key.start_mark.line + 1
                    raise UserError(
                        f'names "{printable(key.value, 100)}" twice, the second time in line {line}'
                    )
                seen.add((key.tag, key.value))
        return node


_BOOL = "tag:yaml.org,2002:bool"

Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(_BOOL, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def parse(text: str) -> Any:
    """What a text says.

    Raises:
        UserError: it is no YAML, or names a key twice; the message begins with a verb, for a subject in front of it.
    """
    try:
        return yaml.load(text, Loader)
    except UserError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise UserError(f"is not valid YAML: {printable(str(error), 500)}") from None
