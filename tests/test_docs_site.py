"""The site has every page once, its links lead somewhere, and its reference pages leave nothing out."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, Field

from logitleak import config, registry
from logitleak.cli import command
from logitleak.config import recorded
from logitleak.strict import Strict

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "scripts"))

import docs_reference  # noqa: E402

PAGES = sorted(DOCS.rglob("*.md"))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def _listed(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, list):
        for entry in nav:
            yield from _listed(entry)
    else:
        yield from _listed(list(nav.values()))


def _written(kind: str) -> str:
    return docs_reference.generated(f"<!-- generated: {kind} -->")


def _cells(text: str, heading: str) -> list[str]:
    """The first cells of the tables below a heading."""
    (part,) = re.findall(
        rf"^{re.escape(heading)}(?: \{{[^\n]*)?\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL
    )
    return re.findall(r"^\| `(.*?)`", part, re.MULTILINE)


def test_every_page_is_in_the_navigation_once() -> None:
    listed = list(_listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    pages = [str(page.relative_to(DOCS)) for page in PAGES]
    assert sorted(listed) == sorted(pages + [f"examples/{notebook.stem}.md" for notebook in NOTEBOOKS])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_of_a_page_stay_in_the_site(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            where = (page.parent / target).resolve()
            assert where.is_file(), target
            assert where.is_relative_to(DOCS), target


def test_nothing_of_a_page_is_loaded_from_elsewhere() -> None:
    for page in PAGES:
        assert not re.search(
            r"!\[[^]]*\]\(\w+://|<(?:img|script|iframe|link)\b|```mermaid", page.read_text()
        ), page
    theme = yaml.safe_load((ROOT / "mkdocs.yml").read_text().replace("!!python", "python"))["theme"]
    assert theme["font"] is False


def test_the_check_of_finished_pages_knows_what_is_loaded() -> None:
    class Page:
        class file:
            src_uri = "page.md"

    harmless = '<a href="https://flower.ai">Flower</a><script src="assets/site.js"></script>'
    assert docs_reference.on_post_page(harmless, Page) == harmless
    for bad in (
        '<script src="https://x/y.js">',
        '<link rel="stylesheet" href="//x/y.css">',
        "<img src=https://x/y.png>",
    ):
        with pytest.raises(ValueError, match="another host"):
            docs_reference.on_post_page(bad, Page)


def test_every_page_of_the_reference_asks_for_what_there_is() -> None:
    asked = [mark for page in PAGES for mark in docs_reference.MARK.findall(page.read_text())]
    assert sorted(asked) == sorted(docs_reference._WRITERS)


def test_every_command_is_written_with_its_options() -> None:
    text = _written("commands")
    groups = {name: list(table) for name, table in command._GROUPS.items()}
    names = [
        full
        for name in command._COMMANDS
        for full in ([f"{name} {inner}" for inner in groups[name]] if name in groups else [name])
    ]
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == names
    assert _cells(text, "## run")[:4] == ["[CONFIG]", "--out RUN", "--set KEY=VALUE ...", "--overwrite"]
    assert _cells(text, "## deploy split")[:2] == ["CONFIG", "OUT"]
    assert re.search(
        r"\| `--attack \w+` \| `ridge` \| What to attack with; see `logitleak ls attack`\. \|", text
    )
    assert "| `OUT` | required | The folder to fill. |" in text
    assert "(see [capture](../capture.md))" in text


def test_every_section_of_the_configuration_is_written_with_its_keys() -> None:
    text = _written("configuration")
    found = docs_reference.sections()
    of_runs = {
        value
        for module in (config, recorded)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Strict)
    }
    bases = {Strict, config.Section, config.Attacked}
    assert of_runs - bases <= set(found)
    for model, (title, _) in found.items():
        assert _cells(text, f"## {title}") == list(model.model_fields), title
    assert "| `image_size` | integer ≥ 16, ≤ 256 | `64` | Side of the square images in pixels. |" in text
    assert "| `attack` | text | required | A registered attack. |" in text
    linked = set(re.findall(r"\]\(#([\w-]+)\)", text))
    assert linked <= set(re.findall(r"\{#([\w-]+)\}", text))


def test_every_plug_in_is_written_with_its_settings() -> None:
    text = _written("plug-ins")
    for kind, entries in registry.TABLES.items():
        for name, entry in entries.items():
            (part,) = re.findall(
                rf"^### {name} \{{#{kind}-{name}\}}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL
            )
            settings: type[BaseModel] | None = getattr(entry.load(), "Settings", None)
            expected = list(settings.model_fields) if settings is not None else []
            assert re.findall(r"^\| `(.*?)`", part, re.MULTILINE) == expected, (kind, name)
            assert expected or "It has no settings." in part


def test_what_a_docstring_says_of_a_key_is_found() -> None:
    class Base(Strict):
        """Whatever.

        Attributes:
            first, second: both of these,
                over two lines.
        """

        first: int = 1
        second: int | None = None

    class Derived(Base):
        """More of it.

        Attributes:
            third: with a | and <this> and ``code`` in it. Its ``third_settings`` are its own.

        Example:
            not: this
        """

        third: str = ""
        third_settings: dict[str, int] = Field(default_factory=dict)

    rows = docs_reference.settings_table(Derived).splitlines()[2:]
    assert rows == [
        "| `first` | integer | `1` | Both of these, over two lines. |",
        "| `second` | integer or null | `null` | Both of these, over two lines. |",
        '| `third` | text | `""` | With a \\| and \\<this\\> and `code` in it. Its `third_settings` are its own. |',
        "| `third_settings` | mapping of text to integer | `{}` | See `third`. |",
    ]


def test_text_of_docstrings_stays_what_it_says() -> None:
    said = "Of ``a_b`` and `<c>`, *one* (**two of them**) <d>/* [0, 1] | f_0 *"
    assert docs_reference.prose(said) == (
        r"Of `a_b` and `<c>`, *one* (**two of them**) \<d\>/\* \[0, 1\] \| f\_0 \*"
    )
