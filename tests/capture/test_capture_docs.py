"""The examples of docs/capture.md lead from logits to a report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from logitleak import cli

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/capture.md").read_text()
    in_the_loop, code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (described,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    _, commands, *_ = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    Path("capture/capture.yaml").write_text(described)
    for line in commands.splitlines():
        program, *arguments = line.split()
        assert program == "logitleak"
        cli.main(arguments)
    assert Path("runs/pilot/report.html").is_file()
    exec(in_the_loop, {})
    cli.main(["import", "recorded", "--out", "runs/recorded"])
    cli.main(["attack", "runs/recorded", "--attack", "ridge"])
    assert Path("runs/recorded/report.html").is_file()
