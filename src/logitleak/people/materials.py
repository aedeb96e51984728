"""How each material looks: colors and gloss at the sample points of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logitleak.people import palette
from logitleak.people.fields import (
    FloatArray,
    bump,
    dot,
    mix,
    normalize,
    ramp,
    rotate,
    stack3,
    value_noise,
)
from logitleak.people.hairstyle import HairLine
from logitleak.people.identity import Identity
from logitleak.people.pieces import Material
from logitleak.people.scene import Scene
from logitleak.people.skin import EYE_CENTERS, SkinPaint, base_tone, clothes_cover

_CROWN_HEIGHT = 8.35


@dataclass(frozen=True)
class Samples:
    """The visible sample points of a picture.

    ``material`` [N]; ``rest``, ``surface`` and ``normal`` [N, 3] (see ``Piece``; normals turned toward the
    camera); ``lips`` and ``ambient`` [N]; ``inside`` bool [N] where the inner side of a sheet shows.
    """

    material: npt.NDArray[np.int64]
    rest: FloatArray
    surface: FloatArray
    normal: FloatArray
    lips: FloatArray
    ambient: FloatArray
    inside: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Appearance:
    """Arrays to be filled for all samples: see ``lighting.Surface``."""

    albedo: FloatArray
    specular: FloatArray
    gloss: FloatArray
    wrap: FloatArray
    ambient: FloatArray
    sheen: FloatArray


@dataclass(frozen=True)
class Look:
    """A person as the painter needs it; ``hair_color`` is linear float32 [3]."""

    identity: Identity
    line: HairLine
    hair_color: FloatArray
    skin: SkinPaint
    child: bool


def paint(samples: Samples, look: Look, scene: Scene, half: FloatArray, rotation: FloatArray) -> Appearance:
    """Appearance of all samples; ``half`` [3] is the half vector, ``rotation`` [3, 3] turns the head."""
    count = len(samples.material)
    out = Appearance(
        albedo=np.full((count, 3), 0.5, np.float32),
        specular=np.zeros(count, np.float32),
        gloss=np.full(count, 20.0, np.float32),
        wrap=np.full((count, 3), 0.1, np.float32),
        ambient=samples.ambient.copy(),
        sheen=np.zeros((count, 3), np.float32),
    )
    kind = samples.material
    _paint_skin(out, np.nonzero(kind == Material.SKIN)[0], samples, look, scene)
    _paint_eyes(out, np.nonzero(kind == Material.EYE)[0], samples, look, scene)
    _paint_mouth(out, kind)
    hairy = np.nonzero(np.isin(kind, (Material.HAIR, Material.DRAPE, Material.BEARD)))[0]
    _paint_hair(out, hairy, samples, look, half, rotation)
    _paint_accessories(out, samples, look, scene)
    return out


def _paint_skin(
    out: Appearance, at: npt.NDArray[np.int64], samples: Samples, look: Look, scene: Scene
) -> None:
    rest, lips = samples.rest[at], samples.lips[at]
    cloth = clothes_cover(rest, scene.neckline)
    weave = scene.cloth * (0.85 + 0.3 * value_noise(rest * 12, 9))[:, None]
    out.albedo[at] = mix(look.skin.color(rest, lips), weave, cloth)
    out.specular[at] = (0.055 + 0.05 * lips) * (1 - cloth)
    out.gloss[at] = 16
    out.wrap[at] = np.array([0.35, 0.2, 0.14], np.float32)


def _paint_eyes(
    out: Appearance, at: npt.NDArray[np.int64], samples: Samples, look: Look, scene: Scene
) -> None:
    person = look.identity
    rest = samples.rest[at]
    toward = normalize(rest - EYE_CENTERS[(rest[:, 0] < 0).astype(np.int64)])
    # People tend to look at the camera, so the eyes undo part of the turn of the head.
    across = scene.gaze[0] - np.radians(scene.yaw) * 0.4
    gaze = normalize(np.array([np.sin(across), np.sin(scene.gaze[1]), 1.0]))
    angle = np.arccos(np.clip(dot(toward, gaze), -1, 1))
    radius = 0.5 * person.iris_size * (1.08 if look.child else 1.0)
    inside = ramp(radius + 0.035, radius - 0.035, angle)
    ring = ramp(radius - 0.16, radius, angle) * inside
    pupil = ramp(0.24, 0.17, angle)
    turn = np.arctan2(toward[:, 1], toward[:, 0])
    rays = 1.15 + 0.5 * (value_noise(stack3(turn * 5, angle * 6, 0.0), person.texture_seed) - 0.5)
    iris = person.iris_color * (rays * (1 - 0.55 * ring))[:, None]
    iris = mix(iris, np.float32(0.008), pupil)
    color = mix(palette.SCLERA, iris, inside)
    shadow = 1 - 0.5 * ramp(0.05, 0.5, toward[:, 1]) - 0.2 * ramp(0.45, 0.75, np.abs(toward[:, 0]))
    out.albedo[at] = color * shadow[:, None]
    out.specular[at], out.gloss[at], out.ambient[at] = 0.5, 90, 1


def _paint_mouth(out: Appearance, kind: npt.NDArray[np.int64]) -> None:
    teeth, tongue = kind == Material.TEETH, kind == Material.TONGUE
    out.albedo[teeth], out.specular[teeth] = palette.TEETH, 0.15
    out.albedo[tongue] = palette.TONGUE
    out.ambient[teeth] *= 0.62
    out.ambient[tongue] *= 0.6


def _paint_hair(
    out: Appearance,
    at: npt.NDArray[np.int64],
    samples: Samples,
    look: Look,
    half: FloatArray,
    rotation: FloatArray,
) -> None:
    person, line = look.identity, look.line
    kind, rest, normal = samples.material[at], samples.rest[at], samples.normal[at]
    beard, drape, on_scalp = kind == Material.BEARD, kind == Material.DRAPE, kind == Material.HAIR
    strands = _strands(samples, at, look)
    color = np.where(beard[:, None], person.beard_color, look.hair_color) * strands[:, None]
    if line.style.density < 1:
        cover = np.clip(line.style.density * (0.85 + 0.3 * value_noise(rest * 50, 1)), 0, 1)
        color = mix(base_tone(person) * np.float32(0.8), color, np.where(on_scalp, cover, 1))
    root = 0.75 + 0.25 * ramp(0, 0.14, line.above(rest))
    if line.style.parted:
        groove = bump(rest[:, 0] - 0.6 * line.part, 0.024) * ramp(0.1, 0.4, rest[:, 2])
        root = root * (1 - 0.45 * groove)
    color = color * np.where(on_scalp, root, 1)[:, None]
    out.albedo[at], out.wrap[at] = color, 0.3
    shaded = 1 - 0.35 * ramp(0.35, -0.2, normal[:, 2])
    out.ambient[at] = np.where(samples.inside[at] & drape, 0.35 * shaded, shaded)
    if line.style.curl:
        return
    crown = np.array([0.5 * line.part, _CROWN_HEIGHT, 0.1], np.float32)
    combed = np.where(drape[:, None], np.array([0, -1, 0], np.float32), rotate(rest - crown, rotation))
    combed = normalize(combed - normal * (combed * normal).sum(axis=1, keepdims=True))
    # The classic hair highlight: strongest where strands are at right angles to the half vector.
    shine = 0.34 * np.clip(1 - (dot(combed, half)) ** 2, 0, 1) ** 26
    shine = shine * np.where(beard, 0.1, 1) * (0.2 if line.style.density < 1 else 1)
    out.sheen[at] = shine[:, None] * (0.9 * color + 0.03) * (0.6 + 0.8 * strands)[:, None]


def _strands(samples: Samples, at: npt.NDArray[np.int64], look: Look) -> FloatArray:
    """Light and dark strands around 1, [N]."""
    seed, line = look.identity.texture_seed, look.line
    kind, rest, surface = samples.material[at], samples.rest[at], samples.surface[at]
    if line.style.curl:
        at_surface = np.where((kind == Material.HAIR)[:, None], surface, rest)
        curls = 0.6 * value_noise(at_surface * 13, seed) + 0.4 * value_noise(at_surface * 29, seed + 2)
        return np.asarray(0.45 + 1.1 * curls, np.float32)
    local = rest - np.array([0.5 * line.part, _CROWN_HEIGHT - 0.05, 0.15], np.float32)
    drape = kind == Material.DRAPE
    # On the scalp strands fan out from the crown; hanging hair has its own coordinates.
    around = np.where(drape, surface[:, 0] * 1.2, np.arctan2(local[:, 0], local[:, 2]) * 14)
    along = np.where(drape, surface[:, 1] * 2.2, np.linalg.norm(local, axis=1) * 1.6)
    coarse = value_noise(stack3(around, along, 0.0), seed)
    fine = value_noise(stack3(around * 2.4, along * 1.5, 0.0), seed + 1)
    strands = 0.62 + 0.76 * (0.55 * coarse + 0.45 * fine)
    bristle = 0.6 + 0.8 * value_noise(rest * np.array([36, 14, 36], np.float32), 1)
    return np.asarray(np.where(kind == Material.BEARD, bristle, strands), np.float32)


def _paint_accessories(out: Appearance, samples: Samples, look: Look, scene: Scene) -> None:
    kind = samples.material
    glasses = look.identity.glasses
    if glasses is not None:
        wire = kind == Material.GLASSES
        out.albedo[wire], out.specular[wire], out.gloss[wire] = glasses.color, 0.35, 40
    cloth = kind == Material.MASK
    across, down = np.abs(samples.surface[cloth, 0]), samples.surface[cloth, 1]
    pleats = np.sin(down * np.pi * 9) * (across < 0.85) * (down > 0.2) * (down < 0.85)
    hem = np.where((down < 0.05) | (down > 0.95), 0.86, 1.0)
    out.albedo[cloth] = scene.mask_color * ((1 + 0.1 * pleats) * hem)[:, None]
    out.wrap[cloth] = 0.2
    out.albedo[kind == Material.STRAP] = scene.mask_color * np.float32(0.9)
