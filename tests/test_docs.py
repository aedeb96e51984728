"""What the documentation says can be run, runs."""

import re
import sys
from pathlib import Path

import pytest

from logitleak import registry
from logitleak.attacks.base import create
from logitleak.sweep.table import COLUMNS

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent / "attacks"))

from memory import MemoryView  # noqa: E402


def test_the_attack_of_extending_md(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "extending.md").read_text()
    (code,) = re.findall(r"run by tests/test_docs.py -->\n```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "lookalike_from_docs.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = registry.Entry("lookalike_from_docs:Lookalike", "from the documentation")
    monkeypatch.setitem(registry.TABLES["attack"], "lookalike", entry)
    view = MemoryView()
    rounds = list(create("lookalike", {"sharpness": 3}).replay(view))
    assert [round for round, _ in rounds] == [1, 2]
    images = rounds[-1][1].images
    assert images.shape == (3, 2, 3, 16, 16)
    assert bool(((images >= 0) & (images <= 1)).all())


def test_recipes_name_every_column_of_a_sweeps_table_in_order() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text()
    rows = re.findall(r"^\| (.*?) \|", text.split("| columns |")[1], re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert named == ["seed", "status", *COLUMNS, "id", "federation", "error"]


def test_every_link_between_documents_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_house_is_as_it_is_drawn() -> None:
    """Every file and every room of the architecture page exists, and every file is named in its room's lines."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    source = ROOT / "src" / "logitleak"
    plan = text.split("src/logitleak/\n")[1].split("```")[0]
    for name in re.findall(r"^  (\w+\.py)", plan, re.MULTILINE):
        assert (source / name).exists(), name
    rooms: dict[str, str] = {}
    for name, words in re.findall(r"^ +(\w+)/ ((?:.*\n)(?:^ {18}.*\n)*)", plan, re.MULTILINE):
        rooms[name] = rooms.get(name, "") + words
    for folder in source.rglob("*"):
        if not any(folder.glob("*.py")) or folder.name in ("people", "degrade", "partition"):
            continue
        told = set(re.findall(r"\w+", rooms.get(folder.name, "")))
        missing = {file.stem for file in folder.glob("*.py")} - told - {"__init__", "__main__"}
        assert not missing, f"{folder.name}: {missing}"
