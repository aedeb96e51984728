"""FaceScrub: the layouts that downloaders write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from logitleak.config import DataConfig
from logitleak.data.base import SourceSettings
from logitleak.data.facescrub import FaceScrub
from logitleak.data.split import prepare
from logitleak.errors import UserError

People = Callable[..., Path]
THREE = {"Ann": 4, "Bo": 4, "Cy": 4}


@pytest.fixture
def place(people: People, tmp_path: Path) -> Callable[..., Path]:
    """Put people's images into folders, given as {person: folder below the root}."""

    def put(folders: dict[str, str], images: int = 4) -> Path:
        for person, folder in enumerate(folders.values()):
            made = people(tmp_path / "made", identities=1, images=images, seed=person) / "person-00"
            target = tmp_path / "root" / folder
            target.mkdir(parents=True, exist_ok=True)
            for file in made.iterdir():
                file.rename(target / file.name)
        return tmp_path / "root"

    return put


def counts(root: Path) -> dict[str, int]:
    return dict(FaceScrub(SourceSettings(), root, 16).survey().sensitive)


@pytest.mark.parametrize(
    "folders",
    [
        ["Ann", "Bo", "Cy"],
        ["actors/Ann", "actors/Bo", "actresses/Cy"],
        ["actors/Ann", "actors/Bo", "actors/Cy"],
        ["actor_faces/Ann", "actress_faces/Bo", "actress_faces/Cy"],
        ["actors/faces/Ann", "actors/faces/Bo", "actresses/faces/Cy"],
        ["facescrub/actors/images/Ann", "facescrub/actors/images/Bo", "facescrub/actresses/images/Cy"],
        ["download/Ann/face", "download/Bo/face", "download/Cy/face"],
    ],
)
def test_layouts(folders: list[str], place: Callable[..., Path]) -> None:
    root = place(dict(zip(THREE, folders, strict=True)))
    assert counts(root) == THREE
    dataset = FaceScrub(SourceSettings(), root, 16).load()
    assert dataset.insensitive is None
    assert sorted(set(dataset.sensitive.identities)) == list(THREE)
    assert len(set(dataset.sensitive.files)) == 12


@pytest.mark.parametrize(
    ("crops", "photographs"),
    [
        (["actors/faces/Ann", "actresses/faces/Bo"], ["actors/images/Ann", "actresses/images/Cy"]),
        (["download/Ann/face", "download/Bo/face"], ["download/Ann", "download/Cy"]),
    ],
)
def test_face_crops_only_where_there_are_some(
    crops: list[str], photographs: list[str], place: Callable[..., Path]
) -> None:
    place({f"photograph {i}": folder for i, folder in enumerate(photographs)}, images=2)
    root = place(dict(zip(("Ann", "Bo"), crops, strict=True)), images=3)
    assert counts(root) == {"Ann": 3, "Bo": 3}


def test_images_among_the_folders_of_people_are_nobodys(place: Callable[..., Path]) -> None:
    root = place({"Ann": "actors/Ann", "Bo": "actresses/Bo", "nobody": "actors", "none": "."})
    assert counts(root) == {"Ann": 4, "Bo": 4}


def test_no_folders_of_people(place: Callable[..., Path]) -> None:
    root = place({"nobody": "actor_faces", "none": "actress_faces"})
    with pytest.raises(UserError, match="holds no images in this layout: root/<person>/<image>, also below"):
        counts(root)


def test_the_papers_protocol(place: Callable[..., Path]) -> None:
    """Half of everybody's images blurred and public, the targets' other half private."""
    root = place({"Ann": "actors/Ann", "Bo": "actors/Bo", "Cy": "actresses/Cy"})
    config = DataConfig(
        source="facescrub", root=root, image_size=16, protocol="half-degraded", degradation="blur",
        degradation_settings={"size": 10}, targets=2, held_out=0,
    )  # fmt: skip
    split = prepare(config, clients=2, seed=0).split
    assert len(split.truth.images) == 2 * 2
    assert int((~split.public.sensitive).sum()) == 3 * 2
    assert int(split.public.sensitive.sum()) == 2
