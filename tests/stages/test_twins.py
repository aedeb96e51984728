"""Twin worlds and decoys from end to end: what differs, what is shared, what is sealed, and what survives a kill."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
from logitleak import config as configs
from logitleak.cli.command import main
from logitleak.data.split import prepare
from logitleak.files.storage import read_json, read_tensors
from logitleak.progress import Quiet
from logitleak.sealed.files import read_game, read_truth, write_game
from logitleak.sealed.game import Game
from logitleak.sealed.truth import unlabelled
from logitleak.stages.folder import RunFolder, World
from logitleak.stages.lab import with_shadows
from logitleak.stages.simulation import Simulation
from logitleak.wire.transcript import Transcript

SEED = 8
"""By whose coins there is somebody in and somebody out at each of two clients with three decoys."""

Config = Callable[..., dict[str, Any]]
People = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, people: People) -> Path:
    """Twelve people with four images each."""
    return people(tmp_path_factory.mktemp("twins") / "people", identities=12)


def config_of(tiny_config: Config, folder: Path, design: str = "twins", **more: Any) -> dict[str, Any]:
    """Two clients with three targets each; ridge, gap and a network."""
    config = tiny_config(folder, targets=6)
    attacks = {name: config["attacks"][name] for name in ("ridge", "pli")} | {"gap": {"attack": "gap"}}
    return config | {"game": {"design": design}, "attacks": attacks} | more


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory, folder: Path, tiny_config: Config) -> Path:
    """A finished run of twin worlds; do not change it."""
    return logitleak.run(config_of(tiny_config, folder), tmp_path_factory.mktemp("run") / "twins").path


def tables(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {
        str(file.relative_to(folder)): read_tensors(file) for file in sorted(folder.rglob("*.safetensors"))
    }


def same(a: dict[str, dict[str, torch.Tensor]], b: dict[str, dict[str, torch.Tensor]]) -> bool:
    return a.keys() == b.keys() and all(
        a[file].keys() == b[file].keys() and all(torch.equal(a[file][key], b[file][key]) for key in a[file])
        for file in a
    )


def test_the_worlds_differ_in_what_clients_sent_alone(twins: Path) -> None:
    first, second = (tables(twins / "worlds" / name / "wire") for name in "01")
    assert first.keys() == second.keys()
    for file in first:
        public = file.startswith("public") or file.endswith(
            "own.safetensors"
        )  # FedMD's f_0 sees nothing private
        assert same({file: first[file]}, {file: second[file]}) == public, file
    texts = [(twins / "worlds" / name / "wire" / "manifest.json").read_text() for name in "01"]
    assert texts[0] == texts[1]
    assert not (twins / "wire").exists()
    assert not (twins / "memo").exists()


def test_every_world_is_what_it_would_be_alone(
    twins: Path, folder: Path, tiny_config: Config, tmp_path: Path
) -> None:
    """What is computed once for both gives the same bits as computing it twice."""
    config = configs.parse(config_of(tiny_config, folder))
    split = prepare(config.data, config.federation.clients, config.seed).split
    game = read_game(twins / "sealed")
    assert game is not None
    for number in range(2):
        used = game.used(split.truth, number)
        world = World(tmp_path / str(number))
        Simulation(config, world, split, used, None, Quiet()).go_on()
        assert same(tables(world.wire), tables(twins / "worlds" / str(number) / "wire"))


@pytest.mark.parametrize("scheme", ["dsfl", "fedgems", "fedavg"])
def test_other_schemes(scheme: str, folder: Path, tiny_config: Config, tmp_path: Path) -> None:
    config = config_of(tiny_config, folder) | {
        "federation": {"scheme": scheme, "clients": 2, "rounds": 2, "batch": 16},
        "attacks": {"gradients": {"settings": {"steps": 2}}} if scheme == "fedavg" else {"gap": {}},
    }
    metrics = logitleak.run(config, tmp_path / "run").metrics
    (entry,) = (a for a in metrics["attacks"].values() if a["kind"] == "attack")
    assert entry["leak"]["chosen"]["in"]["trials"] == 6
    split = prepare(configs.parse(config).data, 2, 0).split
    used = read_game(tmp_path / "run" / "sealed")
    assert used is not None
    labels = split.truth.target_labels if scheme != "dsfl" else unlabelled(split).truth.target_labels
    assert torch.equal(used.units, labels)


def test_what_is_measured(twins: Path) -> None:
    metrics = read_json(twins / "metrics.json")
    assert metrics["game"] == {
        "design": "twins", "unit": "person", "worlds": 2, "units": 6, "in": [3, 3],
        "primary": {"attack": "gap", "image": "chosen", "round": 2}, "measure": "success",
    }  # fmt: skip
    for name in ("gap", "ridge", "pli"):
        leak = metrics["attacks"][name]["leak"]
        for image in ("chosen", "owner"):
            found = leak[image]
            assert found["in"]["trials"] == found["out"]["trials"] == 6
            assert found["leak"]["value"] == pytest.approx(
                found["in"]["value"] - found["out"]["value"], abs=1e-5
            )
            assert sum(found["table"].values()) == 6
        assert [row["round"] for row in leak["rounds"]] == [1, 2]
        assert leak["rounds"][-1]["chosen"] == leak["chosen"]
        assert len(leak["per_target"]) == 6
        assert (leak["p_holm"] is None) == (name == "gap")
        assert metrics["attacks"][name]["accuracy"]["value"] == leak["chosen"]["in"]["value"]
        assert all(row["member"] for row in metrics["attacks"][name]["per_target"])
        assert metrics["attacks"][name]["nulls"] == []
    assert metrics["attacks"]["prior"]["leak"] is None


def test_the_gallery_holds_both_sides(twins: Path) -> None:
    gallery, game = read_tensors(twins / "gallery.safetensors"), read_game(twins / "sealed")
    assert game is not None
    worlds = [
        read_tensors(twins / "worlds" / name / "attacks" / "gap" / "round-02.safetensors") for name in "01"
    ]
    for place in range(6):
        first = 0 if game.coins[0, place] else 1
        for side, world in (("in", first), ("out", 1 - first)):
            expected = worlds[world]["images"][place].mul(255).round().to(torch.uint8)
            assert torch.equal(gallery[f"{side}/gap/2"][place], expected)
    assert gallery["has_out/gap"].tolist() == [1] * 6


def test_owners_images_are_the_owners(twins: Path) -> None:
    """The two measures differ only where somebody else's image was chosen."""
    metrics, truth = read_json(twins / "metrics.json"), read_truth(twins / "sealed")
    owners = torch.tensor([truth.owner_of(label) for label in truth.target_labels.tolist()])
    for name in ("gap", "ridge"):
        rounds = [
            read_tensors(twins / "worlds" / world / "attacks" / name / "round-02.safetensors")
            for world in "01"
        ]
        assert all(r["clients"].dtype == torch.float16 for r in rounds)
        leak = metrics["attacks"][name]["leak"]
        if all(torch.equal(r["chosen"], owners) for r in rounds):
            assert leak["chosen"] == leak["owner"]


def test_attacks_never_learn_who_is_in(twins: Path, tmp_path: Path) -> None:
    """Swapped coins, or none at all, leave every bit that attacks wrote as it is."""
    attacked = {world: tables(twins / "worlds" / world / "attacks") for world in "01"}
    for how in ("swapped", "gone"):
        copy = tmp_path / how
        shutil.copytree(twins, copy)
        if how == "gone":
            shutil.rmtree(copy / "sealed")
        else:
            game = read_game(copy / "sealed")
            assert game is not None
            write_game(copy / "sealed", Game(game.design, game.units, game.strata, ~game.coins))
        for world in "01":
            shutil.rmtree(copy / "worlds" / world / "attacks")
        for name in ("gap", "pli", "ridge"):
            network = ["width=16", "steps=2", "batch=4"] if name == "pli" else []
            main(["attack", str(copy), "--attack", name, "--device", "cpu", "--quiet", "--set", *network])
        for world in "01":
            assert same(tables(copy / "worlds" / world / "attacks"), attacked[world])
    swapped = read_json(tmp_path / "swapped" / "metrics.json")["attacks"]["gap"]["leak"]["chosen"]
    original = read_json(twins / "metrics.json")["attacks"]["gap"]["leak"]["chosen"]
    assert swapped["ssim"]["difference"] == pytest.approx(-original["ssim"]["difference"], abs=1e-5)
    assert read_json(tmp_path / "gone" / "metrics.json")["game"] is None


def test_nothing_that_attacks_wrote_names_the_game(twins: Path) -> None:
    game = read_game(twins / "sealed")
    assert game is not None
    for file in (twins / "worlds").rglob("*.json"):
        text = file.read_text()
        assert "coins" not in text
        assert "withheld" not in text
        assert json.dumps(game.withheld(0).tolist()) not in text


class Killed(BaseException):
    """Ends a run as a signal would."""


def test_killed_between_any_two_writes(
    twins: Path, folder: Path, tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from logitleak.files import atomic

    replace, run, stop, kills = atomic.os.replace, tmp_path / "killed", 4, 0
    while True:
        calls = 0

        def counting(*args: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == stop:  # noqa: B023
                raise Killed
            replace(*args)

        with monkeypatch.context() as patch:
            patch.setattr("logitleak.files.atomic.os.replace", counting)
            try:
                logitleak.run(config_of(tiny_config, folder), run)
                break
            except Killed:
                kills += 1
                stop += 5  # every attempt gets a little further than the last
    assert kills > 5
    for world in "01":
        for part in ("wire", "attacks"):
            assert same(tables(run / "worlds" / world / part), tables(twins / "worlds" / world / part))
    ours, theirs = (read_json(path / "metrics.json") for path in (run, twins))
    for metrics in (ours, theirs):
        del metrics["resources"]
        for entry in metrics["attacks"].values():
            entry["choices"] = {}
    assert ours == theirs


def test_a_run_that_lacks_a_world_is_not_attacked(twins: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(twins, copy)
    shutil.rmtree(copy / "worlds" / "1")
    for command in (["attack", str(copy), "--attack", "gap", "--name", "more"], ["report", str(copy)]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 2


def test_training_that_diverges_is_one_line(folder: Path, tiny_config: Config, tmp_path: Path) -> None:
    config = config_of(tiny_config, folder)
    config["federation"] = config["federation"] | {"lr": 1e30}
    with pytest.raises(logitleak.UserError, match="not finite; lower federation.lr"):
        logitleak.run(config, tmp_path / "run")


def test_the_primary_attack_cannot_be_swapped_afterwards(
    folder: Path, tiny_config: Config, tmp_path: Path
) -> None:
    config = config_of(tiny_config, folder) | {"attacks": ["ridge"]}
    logitleak.run(config, tmp_path / "run")
    again = config | {"attacks": ["ridge", "gap"]}
    with pytest.raises(logitleak.UserError, match='verdict rests on "ridge"'):
        logitleak.run(again | {"primary": "gap"}, tmp_path / "run")
    assert logitleak.run(again, tmp_path / "run").metrics["game"]["primary"]["attack"] == "ridge"


def test_a_missing_game_is_said(twins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(twins, copy)
    (copy / "sealed" / "game.json").unlink()
    with pytest.raises(SystemExit):
        main(["report", str(copy)])
    assert "game.json is missing" in capsys.readouterr().err


def test_a_game_of_strangers_is_damaged(
    twins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(twins, copy)
    game = read_game(copy / "sealed")
    assert game is not None
    write_game(copy / "sealed", Game(game.design, game.units + 100, game.strata, game.coins))
    with pytest.raises(SystemExit):
        main(["report", str(copy)])
    assert "names people of whom the truth has no image" in capsys.readouterr().err


def test_another_game_in_the_same_folder_is_refused(twins: Path, folder: Path, tiny_config: Config) -> None:
    with pytest.raises(logitleak.UserError, match="another seed, data or federation"):
        logitleak.run(config_of(tiny_config, folder, design="none"), twins)


def test_four_worlds(folder: Path, tiny_config: Config, tmp_path: Path) -> None:
    config = config_of(tiny_config, folder) | {"game": {"design": "twins", "worlds": 4}, "attacks": ["gap"]}
    metrics = logitleak.run(config, tmp_path / "run").metrics
    leak = metrics["attacks"]["gap"]["leak"]["chosen"]
    assert metrics["game"]["worlds"] == 4
    assert leak["leak"]["method"] == "bootstrap"
    assert leak["in"]["trials"] == 12


def test_decoys(folder: Path, tiny_config: Config, tmp_path: Path) -> None:
    config = config_of(tiny_config, folder, design="decoys") | {"seed": SEED, "attacks": ["gap", "ridge"]}
    run = logitleak.run(config, tmp_path / "run")
    game, truth = read_game(run.path / "sealed"), read_truth(run.path / "sealed")
    assert game is not None
    inside = int(game.coins.sum())
    for name in ("gap", "ridge"):
        entry = run.metrics["attacks"][name]
        leak = entry["leak"]["chosen"]
        assert (leak["in"]["trials"], leak["out"]["trials"]) == (inside, 6 - inside)
        assert leak["leak"]["method"] == "newcombe-independent"
        assert leak["wins"] is None
        assert entry["accuracy"]["trials"] == inside
        assert [row["member"] for row in entry["per_target"]] == game.coins[0].tolist()
    assert torch.equal(truth.target_labels, game.units)  # the withheld are targets like everybody


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory, folder: Path, tiny_config: Config) -> dict[str, Any]:
    """Of one ordinary federation with three clients."""
    config = config_of(tiny_config, folder, design="none")
    config["federation"] = config["federation"] | {"clients": 3}
    return dict(logitleak.run(config, tmp_path_factory.mktemp("nulls") / "run").metrics)


class TestFreeNulls:
    """What the same attack rebuilds without the private image, in one ordinary federation."""

    def test_every_attack_has_them(self, metrics: dict[str, Any]) -> None:
        assert metrics["game"] is None
        for name in ("gap", "ridge", "pli"):
            kinds = {null["kind"]: null for null in metrics["attacks"][name]["nulls"]}
            # against the others, f_0 alone has nobody to be compared with
            assert set(kinds) == ({"non-owners"} if name == "gap" else {"non-owners", "own-model"})
            assert (
                kinds["non-owners"]["accuracy"]["trials"] == 6 * 2
            )  # targets, clients that do not hold them
            assert metrics["attacks"][name]["leak"] is None

    def test_a_server_that_learns_from_clients_is_no_null(
        self, folder: Path, tiny_config: Config, tmp_path: Path
    ) -> None:
        config = config_of(tiny_config, folder, design="none") | {"attacks": ["gap", "ridge"]}
        config["federation"] = {"scheme": "dsfl", "clients": 3, "rounds": 1, "batch": 16}
        attacks = logitleak.run(config, tmp_path / "run").metrics["attacks"]
        assert [null["kind"] for null in attacks["gap"]["nulls"]] == ["non-owners"]
        assert attacks["ridge"]["nulls"] == []  # its f_0 has learnt from the first uploads


class TestShadows:
    """Clients that the server trains by itself."""

    def shadows(self, twins: Path, world: str, out: Path) -> list[torch.Tensor]:
        config = RunFolder(twins).config()
        assert isinstance(config, configs.Config)
        view = with_shadows(Transcript(twins / "worlds" / world), config, 7, out, Quiet())
        assert view.shadows == 2
        assert "shadows" in view.provides
        return [view.shadow_logits(shadow, t) for t in (1, 2) for shadow in range(2)]

    def test_before_anything_was_sent_out_they_are_the_same_in_both_worlds(
        self, twins: Path, tmp_path: Path
    ) -> None:
        first, second = (self.shadows(twins, world, tmp_path / world) for world in "01")
        assert all(torch.equal(a, b) for a, b in zip(first[:2], second[:2], strict=True))  # no private image
        assert not any(torch.equal(a, b) for a, b in zip(first[2:], second[2:], strict=True))  # the consensus

    def test_they_learn_as_clients_do(self, twins: Path, tmp_path: Path) -> None:
        """Their outputs agree with the public labels better than chance after the public phase."""
        outputs = self.shadows(twins, "0", tmp_path)
        public = Transcript(twins / "worlds" / "0").knowledge.public.labelled()
        right = (outputs[0].argmax(1) == public.labels).float().mean()
        assert float(right) > 1 / 12

    def test_an_attack_that_wants_them_gets_them(self, twins: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(twins, copy)
        main(
            [
                "attack",
                str(copy),
                "--attack",
                "gap",
                "--name",
                "shadow",
                "--set",
                "reference=shadow",
                "--quiet",
            ]
        )
        said = read_json(copy / "worlds" / "1" / "attacks" / "shadow" / "attack.json")
        assert said["choices"]["used"]["reference"] == "shadow"
        assert any("architecture" in sentence for sentence in said["assumptions"])


def test_a_sum_of_clients(twins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(twins, copy)
    main(["attack", str(copy), "--attack", "gap", "--name", "sum", "--view", "sum"])
    assert "leak" in capsys.readouterr().out
    entry = read_json(copy / "metrics.json")["attacks"]["sum"]
    assert entry["settings"]["view"] == "sum"
    assert entry["leak"]["owner"] is None  # a sum has none
    assert entry["owner_named"] is None


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["data.targets=3", "federation.clients=2"]
    with pytest.raises(SystemExit) as ended:
        main(["run", "--out", str(tmp_path / "run"), "--twins", "--quiet", "--set", *overrides])
    assert ended.value.code == 2
    assert "3 targets are too few for two at each of 2 clients" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ({"design": "twin"}, "design"),
        ({"design": "twins", "worlds": 3}, "multiple of 2"),
        ({"design": "decoys", "share": 1.0}, "less than 1"),
    ],
)
def test_mistakes(game: dict[str, Any], message: str) -> None:
    with pytest.raises(logitleak.UserError, match=message):
        configs.parse({"game": game})


def test_the_primary_attack_is_named_beforehand() -> None:
    assert configs.parse({"attacks": ["ridge", "gap"]}).headline == "gap"
    assert configs.parse({"attacks": ["tbi", "ridge"]}).headline == "tbi"
    assert configs.parse({"attacks": ["gap", "ridge"], "primary": "ridge"}).headline == "ridge"
    with pytest.raises(logitleak.UserError, match='"primary" names no attack.*"ridge"'):
        configs.parse({"attacks": ["ridge"], "primary": "rigde"})


def test_an_attack_that_is_added_does_not_take_the_primary_ones_place(
    folder: Path, tiny_config: Config, tmp_path: Path
) -> None:
    config = config_of(tiny_config, folder) | {"attacks": ["ridge"]}
    run = logitleak.run(config, tmp_path / "run").path
    main(["attack", str(run), "--attack", "gap", "--quiet"])
    metrics = read_json(run / "metrics.json")
    assert metrics["game"]["primary"]["attack"] == "ridge"
    assert metrics["attacks"]["ridge"]["leak"]["p_holm"] is None
    assert metrics["attacks"]["gap"]["leak"]["p_holm"] is not None


def test_validate_counts_the_worlds(folder: Path, tiny_config: Config) -> None:
    from logitleak.stages.plan import plan

    lines = list(plan(configs.parse(config_of(tiny_config, folder))).lines())
    assert any(line.startswith("game") and "2 worlds" in line for line in lines)
    assert any(line.startswith("time") and "all worlds" in line for line in lines)
