"""What the `deploy` commands write, and how they say no."""

from __future__ import annotations

import ast
import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import logitleak
from logitleak import config as configs
from logitleak.cli.command import main
from logitleak.deploy.config import flat, of_run, parse
from logitleak.errors import UserError
from needs import require

Tiny = Callable[..., dict[str, Any]]


@pytest.fixture
def config_file(four_clients: Tiny, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(four_clients("fedmd")))
    return path


def flattened(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flower flattens nested tables in this way."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= flattened(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def test_init_writes_an_app(config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(
        [
            "deploy",
            "init",
            str(tmp_path / "dep"),
            "--config",
            str(config_file),
            "--set",
            "federation.rounds=3",
        ]
    )
    assert capsys.readouterr().out.strip() == str(tmp_path / "dep" / "README.md")
    project = tomllib.loads((tmp_path / "dep" / "app" / "pyproject.toml").read_text())
    app = parse(flattened(project["tool"]["flwr"]["app"]["config"]))
    assert app.federation.rounds == 3
    assert app.federation.settings == {"transfer_public": 1, "transfer_private": 1}
    assert app.server_data == tmp_path / "dep" / "data" / "server"
    guide = (tmp_path / "dep" / "README.md").read_text()
    assert guide.count("flower-supernode --superlink 127.0.0.1:9092") == 4
    for side in ("server", "client"):
        assert f"{side}_app as app" in (tmp_path / "dep" / "app" / "federation" / f"{side}.py").read_text()
    everything = [p for p in (tmp_path / "dep" / "app").rglob("*") if p.is_file()]
    assert all(p.suffix in (".py", ".toml") for p in everything)  # no data go to the SuperLink with the app


def init_with_data(config_file: Path, tmp_path: Path) -> None:
    """`deploy init` with data that were divided before."""
    given = ["--config", str(config_file), "--data", str(tmp_path / "data")]
    main(["deploy", "init", str(tmp_path / "dep"), *given])


def test_init_with_data_that_are_there(config_file: Path, tmp_path: Path) -> None:
    main(["deploy", "split", str(config_file), str(tmp_path / "data")])
    init_with_data(config_file, tmp_path)
    assert not (tmp_path / "dep" / "data").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--set", "federation.scheme=fedmdd"], 'No scheme is called "fedmdd"'),
        (["--set", "data.targets=99"], "lower data.targets"),
        (["--data", "nowhere"], "does not exist"),
        (["--port", "0"], "The port must be in"),
    ],
)
def test_init_says_no(
    more: list[str], says: str, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["deploy", "init", str(tmp_path / "dep"), "--config", str(config_file), *more])
    assert exit.value.code == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "dep").exists()


def test_init_leaves_what_is_there(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["deploy", "init", str(tmp_path), "--config", str(config_file)])
    assert "not empty" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.yaml"]


def test_data_for_another_number_of_clients(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["deploy", "split", str(config_file), str(tmp_path / "data"), "--set", "federation.clients=2"])
    with pytest.raises(SystemExit):
        init_with_data(config_file, tmp_path)
    assert "divided for fedmd with 2 clients" in capsys.readouterr().err


def test_flower_is_imported_in_few_places() -> None:
    """By the apps, by how their messages look, and by what records a strategy; and from its public modules alone."""
    package = Path(logitleak.__file__).parent
    found = {}
    for path in package.rglob("*.py"):
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in statement.names] if isinstance(statement, ast.Import) else []
            names += [statement.module or ""] if isinstance(statement, ast.ImportFrom) else []
            if used := {name for name in names if name.split(".")[0] == "flwr"}:
                found.setdefault(str(path.relative_to(package)), set()).update(used)
    assert found == {
        "deploy/records.py": {"flwr.app"},
        "deploy/flower.py": {"flwr.app", "flwr.clientapp", "flwr.serverapp"},
        "capture/flower.py": {"flwr.app", "flwr.serverapp.strategy"},
    }


class TestConfig:
    def test_there_and_back(self, four_clients: Tiny, tmp_path: Path) -> None:
        values = four_clients("fedmd")
        values["federation"]["models"] = ["cnn", "mlp"]
        app = of_run(configs.parse(values), tmp_path, tmp_path / "run")
        assert parse(flat(app)) == app
        assert all(isinstance(value, str | int | float | bool) for value in flat(app).values())

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"round": 3}, 'no setting "round"'),
            ({"rounds": 0}, '"rounds"'),
            ({"minimum_clients": 5}, "minimum_clients is 5, and there are 4 clients"),
            ({"models": "cnn, cmn"}, 'No model is called "cmn"'),
            ({"scheme": "fedmdd"}, 'No scheme is called "fedmdd"'),
            ({"settings.digestt": 1}, "digestt"),
            ({"answer_timeout": 0.0}, '"answer_timeout"'),
            ({"answer_timeout": float("inf")}, '"answer_timeout"'),
            ({"start_timeout": float("nan")}, '"start_timeout"'),
        ],
    )
    def test_mistakes(self, change: dict[str, Any], says: str, four_clients: Tiny, tmp_path: Path) -> None:
        table = flat(of_run(configs.parse(four_clients("fedmd")), tmp_path, tmp_path))
        with pytest.raises(UserError, match=says):
            parse(table | change)


class TestKeys:
    @pytest.fixture(autouse=True)
    def _cryptography(self) -> None:
        require("cryptography")

    def test_secrets_are_their_owners_alone(self, tmp_path: Path) -> None:
        main(["deploy", "keys", str(tmp_path / "keys"), "--clients", "2"])
        names = {p.name for p in (tmp_path / "keys").iterdir()}
        assert names == {
            "ca.crt",
            "server.crt",
            "server.key",
            "client-0",
            "client-0.pub",
            "client-1",
            "client-1.pub",
        }
        for secret in ("server.key", "client-0", "client-1"):
            assert stat.S_IMODE(os.stat(tmp_path / "keys" / secret).st_mode) == 0o600
        assert (tmp_path / "keys" / "client-0.pub").read_text().startswith("ecdsa-sha2-nistp384 ")

    def test_the_certificate_is_for_these_hosts(self, tmp_path: Path) -> None:
        from cryptography import x509

        main(["deploy", "keys", str(tmp_path / "keys"), "--host", "10.0.0.1", "link.example"])
        leaf = x509.load_pem_x509_certificate((tmp_path / "keys" / "server.crt").read_bytes())
        root = x509.load_pem_x509_certificate((tmp_path / "keys" / "ca.crt").read_bytes())
        leaf.verify_directly_issued_by(root)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["link.example"]
        assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]

    @pytest.mark.parametrize(
        "host", ["", "two words", "a..b", "x" * 64 + ".example", "line\nbreak", "é" * 300]
    )
    def test_no_host(self, host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["deploy", "keys", str(tmp_path / "keys"), "--host", host])
        said = capsys.readouterr().err
        assert "is no name or address of a host" in said
        assert said.count("\n") == 1
        assert not (tmp_path / "keys").exists()

    def test_hosts_that_a_common_name_could_not_hold(self, tmp_path: Path) -> None:
        from cryptography import x509

        long = ".".join(["link"] * 20)
        main(["deploy", "keys", str(tmp_path / "keys"), "--host", "münchen.example", long, "::1"])
        leaf = x509.load_pem_x509_certificate((tmp_path / "keys" / "server.crt").read_bytes())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["xn--mnchen-3ya.example", long]

    def test_keys_are_never_replaced(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "client-0").write_text("mine")
        with pytest.raises(SystemExit):
            main(["deploy", "keys", str(tmp_path)])
        assert "not empty" in capsys.readouterr().err
