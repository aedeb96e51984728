"""Rendering one picture of a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logitleak.people.accessories import mask_pieces
from logitleak.people.beard import beard_cover
from logitleak.people.fields import FloatArray, normalize, ramp, rotate, stack3, value_noise
from logitleak.people.lighting import ShadowMap, Surface, half_vector, shade
from logitleak.people.materials import Samples, paint
from logitleak.people.mesh import Triangles, vertex_normals
from logitleak.people.person import Person
from logitleak.people.pieces import Material
from logitleak.people.raster import BoolArray, IntArray, Raster, rasterize
from logitleak.people.scene import Scene

IMAGE_SIZE = 64
"""Width and height of a picture in pixels."""

_WINDOW = 2.3
_CAMERA_DISTANCE = 11.0
_LOOK_BELOW_EYES = 0.07
_CLOSED = (Material.SKIN, Material.EYE, Material.TEETH, Material.TONGUE, Material.BEARD)
_SHEETS = (Material.HAIR, Material.DRAPE, Material.GLASSES, Material.MASK, Material.STRAP)
_CAST_SHADOWS = (Material.SKIN, Material.HAIR, Material.DRAPE, Material.BEARD, Material.MASK)


@dataclass(frozen=True)
class _Assembly:
    """The head and all pieces as one mesh, posed; the head's vertices come first."""

    vertices: FloatArray
    rest: FloatArray
    surface: FloatArray
    normals: FloatArray
    triangles: Triangles
    material: npt.NDArray[np.int64]
    rotation: FloatArray
    center: FloatArray


def render(
    person: Person, scene: Scene, *, masked: bool = False, supersample: int = 3
) -> npt.NDArray[np.uint8]:
    """Picture of a person, uint8 [64, 64, 3] RGB.

    ``masked`` puts a face mask on; every pixel averages ``supersample`` squared samples.
    """
    side = IMAGE_SIZE * supersample
    mesh = _assemble(person, scene, masked)
    raster = _project(mesh, person, scene, side)
    seen = np.nonzero(raster.triangle >= 0)[0]
    image = _backdrop(scene, side)
    image[seen] = _shade_samples(mesh, person, scene, raster, seen)
    image = image.reshape(IMAGE_SIZE, supersample, IMAGE_SIZE, supersample, 3).mean(axis=(1, 3))
    return _develop(image, scene)


def _rotation(yaw: float, pitch: float, roll: float) -> FloatArray:
    """Rotation matrix [3, 3] for angles in degrees."""
    y, p, r = np.radians([yaw, pitch, roll])
    around_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    around_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    around_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(around_z @ around_x @ around_y, np.float32)


def _assemble(person: Person, scene: Scene, masked: bool) -> _Assembly:
    head, frame = person.head, person.frame
    face = person.face(scene, masked=masked)
    pieces = person.pieces(face, masked=masked)
    if masked:
        pieces = pieces + mask_pieces(head, face, frame)
    sizes = np.cumsum([len(face)] + [len(piece.vertices) for piece in pieces])
    triangles = [head.triangles] + [p.triangles + first for p, first in zip(pieces, sizes, strict=False)]
    material = [head.part.astype(np.int64)] + [np.full(len(p.triangles), int(p.material)) for p in pieces]
    rest = np.concatenate([head.vertices, *(p.rest for p in pieces)])
    surface = np.concatenate([np.zeros_like(face), *(p.surface for p in pieces)])
    rotation = _rotation(scene.yaw, scene.pitch, scene.roll)

    def turn(points: FloatArray) -> FloatArray:
        return rotate(points - frame.pivot, rotation) + frame.pivot

    vertices = np.concatenate([face, *(p.vertices for p in pieces)])
    # The head turns, the shoulders stay: in between the neck bends.
    share = ramp(5.65, 6.5, rest[:, 1] + 0.6 * np.clip(rest[:, 2] - 0.6, 0, 1))[:, None]
    posed = (vertices + share * (turn(vertices) - vertices)).astype(np.float32)
    joined = np.concatenate(triangles).astype(np.int32)
    target = frame.eye_middle - np.array([0, _LOOK_BELOW_EYES * frame.scale, 0], np.float32)
    center = turn(target[None])[0]
    return _Assembly(
        vertices=posed,
        rest=rest.astype(np.float32),
        surface=surface.astype(np.float32),
        normals=vertex_normals(posed, joined),
        triangles=joined,
        material=np.concatenate(material),
        rotation=rotation,
        center=center.astype(np.float32),
    )


def _project(mesh: _Assembly, person: Person, scene: Scene, side: int) -> Raster:
    scale = person.frame.scale
    distance = _CAMERA_DISTANCE * scale
    local = mesh.vertices - mesh.center
    zoom = distance / (distance - local[:, 2]) / (_WINDOW * scale * scene.zoom)
    x = (0.5 + local[:, 0] * zoom + scene.offset[0]) * side
    y = (0.5 - local[:, 1] * zoom + scene.offset[1]) * side

    def holes(triangle: IntArray, weights: FloatArray) -> BoolArray:
        return _holes(mesh, person, triangle, weights)

    cull = np.isin(mesh.material, _CLOSED)
    return rasterize(x, y, -mesh.vertices[:, 2], mesh.triangles, side, side, cull=cull, discard=holes)


def _interpolate(values: FloatArray, corners: Triangles, weights: FloatArray) -> FloatArray:
    """Values [V, D] at points given by triangle corners [N, 3] and weights [N, 3]."""
    total = values[corners[:, 0]] * weights[:, :1]
    for k in (1, 2):
        total += values[corners[:, k]] * weights[:, k : k + 1]
    return np.asarray(total, np.float32)


def _holes(mesh: _Assembly, person: Person, triangle: IntArray, weights: FloatArray) -> BoolArray:
    """Where hair shells end: below the hair line, past the ragged ends, outside the beard."""
    identity, line = person.identity, person.look.line
    seed = identity.texture_seed
    material = mesh.material[triangle]
    gone = np.zeros(len(triangle), np.bool_)

    def at_fragments(values: FloatArray, at: IntArray) -> FloatArray:
        return _interpolate(values, mesh.triangles[triangle[at]], weights[at])

    at = np.nonzero(material == Material.HAIR)[0]
    rest = at_fragments(mesh.rest, at)
    if line.style.curl:
        ragged = 0.14 * (value_noise(rest * 14, seed) - 0.5)
    else:
        strands = value_noise(rest * np.array([32, 7, 32], np.float32), seed) - 0.5
        ragged = (0.13 if line.fringe is not None else 0.09) * strands
    gone[at] = line.above(rest) + ragged < 0
    at = np.nonzero(material == Material.DRAPE)[0]
    surface = at_fragments(mesh.surface, at)
    tips = 0.88 + 0.12 * value_noise(stack3(surface[:, 0] * 1.4, 0.0, 0.0), seed + 2)
    gone[at] = surface[:, 1] > tips
    at = np.nonzero(material == Material.BEARD)[0]
    rest = at_fragments(mesh.rest, at)
    cover = beard_cover(identity.beard, rest, np.zeros(len(at), np.float32))
    gone[at] = cover < 0.25 + 0.35 * value_noise(rest * 28, 4)
    return gone


def _shade_samples(
    mesh: _Assembly, person: Person, scene: Scene, raster: Raster, seen: IntArray
) -> FloatArray:
    head = person.head
    corners = mesh.triangles[raster.triangle[seen]]
    weights = raster.weights[seen]
    material = mesh.material[raster.triangle[seen]]
    pad = (0, len(mesh.vertices) - len(head.vertices))
    masks = np.stack([np.pad(head.lips, pad), np.pad(head.ambient, pad, constant_values=1)], axis=1)
    normal = normalize(_interpolate(mesh.normals, corners, weights))
    inside = (normal[:, 2] < 0) & np.isin(material, _SHEETS)
    normal[inside] *= -1
    position = _interpolate(mesh.vertices, corners, weights)
    mask = _interpolate(masks, corners, weights)
    samples = Samples(
        material=material,
        rest=_interpolate(mesh.rest, corners, weights),
        surface=_interpolate(mesh.surface, corners, weights),
        normal=normal,
        lips=mask[:, 0],
        ambient=mask[:, 1],
        inside=inside,
    )
    look = paint(samples, person.look, scene, half_vector(scene), mesh.rotation)
    casting = mesh.triangles[np.isin(mesh.material, _CAST_SHADOWS)]
    shadow = ShadowMap(mesh.vertices, casting, scene.light_direction, mesh.center, person.frame.scale)
    surface = Surface(
        position=position,
        normal=normal,
        albedo=look.albedo,
        specular=look.specular,
        gloss=look.gloss,
        wrap=look.wrap,
        ambient=look.ambient,
        sheen=look.sheen,
        warm_shadow=(material == Material.SKIN).astype(np.float32),
    )
    return shade(surface, scene, shadow.lit(position, normal))


def _backdrop(scene: Scene, side: int) -> FloatArray:
    """A soft two-color background, linear [side * side, 3]."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32).reshape(2, -1) / side - 0.5
    share = 0.5 + 1.2 * (x * np.cos(scene.backdrop_angle) + y * np.sin(scene.backdrop_angle))
    share = np.clip(share, 0, 1)[:, None]
    clouds = value_noise(stack3(x * 5, y * 5, float(scene.seed % 97)), 1)
    color = scene.backdrop[0] * (1 - share) + scene.backdrop[1] * share
    return np.asarray(color * (0.8 + 0.4 * clouds)[:, None], np.float32)


def _develop(image: FloatArray, scene: Scene) -> npt.NDArray[np.uint8]:
    """Linear light to display values, with a soft shoulder and sensor noise."""
    image = np.clip(image * scene.exposure, 0, None)
    image = image / (1 + 0.6 * np.clip(image - 0.6, 0, None))
    image = np.clip(image, 0, 1) ** (1 / 2.2)
    grain = np.random.default_rng(scene.seed).normal(0, scene.noise, image.shape)
    return np.asarray(np.clip(image + grain, 0, 1) * 255 + 0.5, np.uint8)
