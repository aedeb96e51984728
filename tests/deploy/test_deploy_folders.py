"""Everybody gets a folder of their own, and nobody's private images are in another's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from logitleak import config as configs
from logitleak.deploy.app import write_app
from logitleak.deploy.client import Client
from logitleak.deploy.config import of_run
from logitleak.deploy.folders import client_folder, divide, fingerprint, read_facts, read_private, read_public
from logitleak.deploy.told import OtherPublicSet
from logitleak.errors import UserError
from logitleak.sealed.files import read_truth
from logitleak.types import Payload

Tiny = Callable[..., dict[str, Any]]


def test_private_images_stay_with_their_client(four_clients: Tiny, tmp_path: Path) -> None:
    divide(configs.parse(four_clients("fedmd")), tmp_path / "data")
    truth = read_truth(tmp_path / "data" / "sealed")
    own = [load_file(client_folder(tmp_path / "data", k) / "private.safetensors") for k in range(4)]
    for k in range(4):
        assert torch.equal(own[k]["images"], truth.client(k).images)
        assert torch.equal(own[k]["labels"], truth.client(k).labels)
    server = {p.name for p in (tmp_path / "data" / "server").iterdir()}
    assert server == {"public.safetensors", "facts.json", "config.yaml"}
    private = {row.numpy().tobytes() for row in truth.images}
    public = load_file(tmp_path / "data" / "server" / "public.safetensors")["images"]
    assert not private & {row.numpy().tobytes() for row in public}
    for k in range(4):
        files = {p.name for p in client_folder(tmp_path / "data", k).iterdir()}
        assert files == {"public.safetensors", "private.safetensors", "facts.json"}
        assert (
            read_facts(client_folder(tmp_path / "data", k)).target_labels == []
        )  # whom others hold is not said
        others = {row.numpy().tobytes() for j in range(4) if j != k for row in own[j]["images"]}
        assert not others & {row.numpy().tobytes() for row in own[k]["images"]}


def test_the_server_is_not_told_how_the_data_were_divided(four_clients: Tiny, tmp_path: Path) -> None:
    """With the seed and the images, the division could be repeated."""
    values = four_clients("fedmd") | {"seed": 987654321}
    divide(configs.parse(values), tmp_path / "data")
    text = (tmp_path / "data" / "server" / "config.yaml").read_text()
    assert yaml.safe_load(text)["data"]["image_size"] == 16
    assert "987654321" not in text
    assert str(values["data"]["root"]) not in text


def test_private_folders_are_private_before_anything_is_in_them(
    four_clients: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from logitleak.deploy import folders

    modes: dict[str, int] = {}
    write = folders.write_tensors

    def spy(path: Path, tensors: Any) -> None:
        folder = path.parent
        modes[folder.name] = folder.stat().st_mode & 0o777 if folder.exists() else 0
        write(path, tensors)

    monkeypatch.setattr(folders, "write_tensors", spy)
    monkeypatch.setattr("logitleak.sealed.files.write_tensors", spy)
    divide(configs.parse(four_clients("fedmd")), tmp_path / "data")
    private = {name: mode for name, mode in modes.items() if name != "server"}
    assert private == dict.fromkeys(["client-0", "client-1", "client-2", "client-3", "sealed"], 0o700)


def test_nothing_half_divided_stays(
    four_clients: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, truth: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("logitleak.deploy.folders.write_truth", full)
    with pytest.raises(OSError, match="No space left"):
        divide(configs.parse(four_clients("fedmd")), tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_half_divided_is_removed(four_clients: Tiny, tmp_path: Path) -> None:
    """Private images are in it."""
    left = tmp_path / ".data.999999999.partial"  # no process has such a number
    (left / "client-0").mkdir(parents=True)
    (left / "client-0/private.safetensors").write_bytes(b"images")
    divide(configs.parse(four_clients("fedmd")), tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".data")] == []
    assert (tmp_path / "data/server").is_dir()
    (tmp_path / "app/.data.999999999.partial/sealed").mkdir(parents=True)
    write_app(configs.parse(four_clients("fedmd")), tmp_path / "app", None, "127.0.0.1", 9092)
    assert not (tmp_path / "app/.data.999999999.partial").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"game": {"design": "twins"}}, "game.design=twins has no effect here"),
        ({"candidates": 10}, "candidates=10 has no effect here; set candidates=0"),
        ({"baselines": True}, "baselines=true has no effect here; set baselines=false"),
    ],
)
def test_what_only_a_simulation_does_is_refused(
    given: dict[str, Any], said: str, four_clients: Tiny, tmp_path: Path
) -> None:
    values = four_clients("fedmd")
    with pytest.raises(UserError, match=said):
        divide(configs.parse(values | given), tmp_path / "data")
    assert not (tmp_path / "data").exists()
    divide(configs.parse(values), tmp_path / "data")
    with pytest.raises(UserError, match=said):
        write_app(configs.parse(values | given), tmp_path / "app", tmp_path / "data", "127.0.0.1", 9092)
    assert not (tmp_path / "app").exists()


def test_another_public_set_is_noticed(four_clients: Tiny, tmp_path: Path) -> None:
    """The same images in another order: outputs would be taken for those on other images."""
    config = configs.parse(four_clients("fedmd"))
    divide(config, tmp_path / "data")
    deployed = of_run(config, tmp_path / "data", tmp_path / "run")
    wanted = fingerprint(read_public(tmp_path / "data" / "server"))
    folder = client_folder(tmp_path / "data", 0)
    Client(deployed, folder, 0).check_public(wanted)
    tensors = load_file(folder / "public.safetensors")
    for change in (
        {name: value.flip(0) for name, value in tensors.items()},
        tensors | {"labels": (tensors["labels"] + 1) % 8},
        tensors | {"sensitive": 1 - tensors["sensitive"]},
    ):
        save_file({name: value.contiguous() for name, value in change.items()}, folder / "public.safetensors")
        with pytest.raises(OtherPublicSet) as told:
            Client(deployed, folder, 0).check_public(wanted)
        assert str(tmp_path) not in str(told.value)  # the server hears it


def test_a_client_does_not_share_weights_that_agreed_to_share_logits(
    four_clients: Tiny, tmp_path: Path
) -> None:
    config = configs.parse(four_clients("fedmd"))
    divide(config, tmp_path / "data")
    other = config.federation.model_copy(update={"scheme": "fedavg", "settings": {}})
    deployed = of_run(config, tmp_path / "data", tmp_path / "run").model_copy(update={"federation": other})
    with pytest.raises(UserError, match="divided for fedmd with 4 clients, and this is fedavg with 4"):
        Client(deployed, client_folder(tmp_path / "data", 0), 0)


def test_a_folder_in_use(four_clients: Tiny, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(UserError, match="not empty"):
        divide(configs.parse(four_clients("fedmd")), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_another_clients_folder(four_clients: Tiny, tmp_path: Path) -> None:
    config = configs.parse(four_clients("fedmd"))
    divide(config, tmp_path / "data")
    deployed = of_run(config, tmp_path / "data", tmp_path / "run")
    with pytest.raises(UserError, match="holds the data of client 2, and this is client 1"):
        Client(deployed, client_folder(tmp_path / "data", 2), 1)
    with pytest.raises(UserError, match="does not exist"):
        Client(deployed, tmp_path / "nowhere", 0)
    with pytest.raises(UserError, match="holds the data of the server"):
        Client(deployed, tmp_path / "data" / "server", 0)
    with pytest.raises(UserError, match='no action "erase"'):
        Client(deployed, client_folder(tmp_path / "data", 0), 0).answer("erase", 1, Payload(), {})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": torch.tensor([99])}, "as many rows"),
        ({"images": torch.zeros(2, 3)}, r"must be uint8 \[n, 3, H, W\]"),
        ({"images": None}, 'no tensor called "images"'),
    ],
)
def test_damaged_private_data(change: dict[str, Any], says: str, four_clients: Tiny, tmp_path: Path) -> None:
    divide(configs.parse(four_clients("fedmd")), tmp_path / "data")
    folder = client_folder(tmp_path / "data", 0)
    tensors = load_file(folder / "private.safetensors") | change
    save_file({k: v for k, v in tensors.items() if v is not None}, folder / "private.safetensors")
    with pytest.raises(UserError, match=says):
        read_private(folder, read_facts(folder))


def test_labels_out_of_range(four_clients: Tiny, tmp_path: Path) -> None:
    divide(configs.parse(four_clients("fedmd")), tmp_path / "data")
    folder = client_folder(tmp_path / "data", 0)
    tensors = load_file(folder / "private.safetensors")
    save_file(tensors | {"labels": tensors["labels"] + 100}, folder / "private.safetensors")
    with pytest.raises(UserError, match=r"labels must be in 0..7"):
        read_private(folder, read_facts(folder))
