"""Everybody gets a folder of their own, and nobody's private images are in another's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from logitleak import config as configs
from logitleak.deploy.client import Client
from logitleak.deploy.config import of_run
from logitleak.deploy.folders import client_folder, divide, read_facts, read_private
from logitleak.errors import UserError
from logitleak.sealed import read_truth
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
