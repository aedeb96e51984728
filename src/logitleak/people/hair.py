"""Hair geometry: a shell on the scalp, hair that hangs down, and a bun."""

from __future__ import annotations

import numpy as np

from logitleak.people.fields import FloatArray, bump, normalize, ramp, stack3, value_noise
from logitleak.people.hairstyle import Drape, HairLine
from logitleak.people.head import Head
from logitleak.people.identity import Identity
from logitleak.people.mesh import grid_triangles, make_patch, vertex_normals
from logitleak.people.pieces import HeadFrame, Material, Piece

REST_EYE_HEIGHT = 7.285
_SKULL_CENTER = np.array([0.0, 7.45, 0.42], np.float32)
_SHELL_LEVELS = 2
_SHELL_SMOOTHING = 6
_THINNEST_SHELL = 0.012
_DRAPE_ROWS, _DRAPE_COLUMNS = 44, 73


def hair_pieces(
    identity: Identity, line: HairLine, head: Head, vertices: FloatArray, frame: HeadFrame
) -> list[Piece]:
    """All hair of a person whose head has ``vertices`` [V, 3] (empty where bald)."""
    if line.style.density == 0:
        return []
    pieces = [_shell(identity, line, head, vertices, frame)]
    if line.style.drape is not None:
        pieces.append(_drape(identity, line, line.style.drape, frame))
    if line.style.bun:
        pieces.append(_bun(identity, frame))
    return pieces


def _shell(identity: Identity, line: HairLine, head: Head, vertices: FloatArray, frame: HeadFrame) -> Piece:
    """The scalp lifted by the thickness of the hair, cut finer and smoothed so that no facet shows."""
    near = line.above(head.vertices) > -0.14
    scalp = near & (head.ears < 0.5) & (head.vertices[:, 1] > 6.3)
    triangles = head.skin_triangles()
    patch = make_patch(triangles[scalp[triangles].all(axis=1)], _SHELL_LEVELS)
    rest, base = patch.lift(head.vertices), patch.lift(vertices)
    normals = patch.lift(vertex_normals(vertices, triangles))
    center = np.array([0, (frame.eye_middle[1] + frame.top) / 2 - 0.1, (frame.front + frame.back) / 2])
    outward = normalize(0.4 * normals + 0.6 * normalize(base - center.astype(np.float32)))
    thickness = _thickness(identity, line, rest)
    if line.style.curl:
        # Curls are round where they are seen, on the outside, not down at the scalp.
        outside = base + outward * thickness[:, None]
        thickness = thickness * _curls(outside, identity.texture_seed)
    lifted = base + outward * np.maximum(thickness, _THINNEST_SHELL)[:, None]
    # Curls are bumps and must survive; other hair is combed smooth.
    lifted = patch.smooth(lifted, 2 if line.style.curl else _SHELL_SMOOTHING)
    return Piece(lifted, rest, patch.triangles, Material.HAIR, lifted)


def _curls(points: FloatArray, seed: int) -> FloatArray:
    """Bumps around 1 at points [N, 3], [N]."""
    coarse, fine = value_noise(points * 6.5, seed), value_noise(points * 13, seed + 5)
    return np.asarray(0.7 + 0.6 * (0.65 * coarse + 0.35 * fine), np.float32)


def _thickness(identity: Identity, line: HairLine, rest: FloatArray) -> FloatArray:
    """Thickness of the hair at points [N, 3] of the rest head, [N]."""
    style, above = line.style, line.above(rest)
    toward = normalize(rest - _SKULL_CENTER)
    top = np.clip(toward[:, 1], 0, 1) ** 1.5
    front = np.clip(toward[:, 2], 0, 1) * ramp(7.2, 7.6, rest[:, 1])
    back, side = np.clip(-toward[:, 2], 0, 1), np.abs(toward[:, 0])
    around = style.side * side + style.front * front + style.back * back
    thick = (style.top * top + around * (1 - top)) / (top + (side + front + back) * (1 - top) + 1e-6)
    if style.swept:
        heavy_side = -1.0 if line.part >= 0 else 1.0
        thick = thick * (1 + 0.4 * np.tanh(3 * (rest[:, 0] - line.part) * heavy_side))
    if style.parted:
        groove = bump(rest[:, 0] - 0.6 * line.part, 0.09) * ramp(0.2, 0.5, rest[:, 2])
        thick = thick * (1 - 0.4 * groove)
    if not style.curl:
        thick = thick * (0.85 + 0.3 * value_noise(rest * 3.5, identity.texture_seed))
    rise = ramp(-0.03, 0.26 if style.sleek else 0.17, above)
    return np.asarray(thick * rise, np.float32)


def _drape(identity: Identity, line: HairLine, drape: Drape, frame: HeadFrame) -> Piece:
    """Hair that hangs down around the back of the head and the neck, open toward the face."""
    style, seed = line.style, identity.texture_seed
    lift = frame.eye_middle[1] - REST_EYE_HEIGHT
    end = drape.end + drape.end_range * (0.5 - identity.hair_length) * 2 + lift
    middle = frame.eye_middle[1] + 0.25
    top = frame.top + style.top * 0.6
    start = top - 0.12
    across, down = np.meshgrid(np.linspace(-1, 1, _DRAPE_COLUMNS), np.linspace(0, 1, _DRAPE_ROWS))
    height = start - (start - end) * down
    locks = value_noise(stack3(across.ravel() * 12, down.ravel() * 2.2, 0.0), seed).reshape(across.shape)
    edge = value_noise(stack3(down.ravel() * 4, np.sign(across.ravel()) * 3 + 9, 0.0), seed).reshape(
        across.shape
    )
    opening = drape.front_angle + 14 * (edge - 0.5) * ramp(0.15, 0.5, down) + 8 * ramp(0.5, 1.0, down)
    angle = np.radians(180 + across * (180 - opening))
    dome = np.sqrt(np.clip(1 - ((height - middle) / (top - middle + 1e-6)) ** 2, 0, 1))
    girth = np.where(height > middle, dome, 1 + 0.05 * (middle - height))
    girth = girth - drape.tuck * ramp(0.72, 1.0, down)
    girth = girth * (1 + (0.05 + 0.1 * style.curl) * (locks - 0.5))
    girth = girth + 0.5 * drape.wave * np.sin(14 * down + 5 * across + 4 * locks) * ramp(0.1, 0.6, down)
    if style.curl:
        curls = value_noise(stack3(across.ravel() * 22, height.ravel() * 8, 0.0), seed + 3)
        girth = girth + 0.12 * (curls.reshape(girth.shape) - 0.5) * ramp(0.1, 0.35, down)
    half_width = frame.half_width + style.side
    depth = (frame.front * 0.86 - frame.back) / 2 + style.back
    x = np.sin(angle) * half_width * girth
    z = (frame.front * 0.9 + frame.back) / 2 + np.cos(angle) * depth * girth
    vertices = stack3(x, height, z).reshape(-1, 3)
    surface = stack3(across * 20, down, locks).reshape(-1, 3)
    rest = vertices - np.array([0, lift, 0], np.float32)
    triangles = grid_triangles(_DRAPE_ROWS, _DRAPE_COLUMNS)
    return Piece(vertices, rest, triangles, Material.DRAPE, surface)


def _bun(identity: Identity, frame: HeadFrame) -> Piece:
    around, polar = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, np.pi, 15))
    radius = 0.3 * identity.volume
    vertices = stack3(
        radius * np.sin(polar) * np.cos(around),
        frame.top + 0.16 + 0.8 * radius * np.cos(polar),
        0.15 + radius * np.sin(polar) * np.sin(around),
    ).reshape(-1, 3)
    # A height above every head keeps the hair line and the ragged ends away from the bun.
    rest = vertices * np.array([1, 0, 1], np.float32) + np.array([0, 8.6, 0], np.float32)
    surface = stack3(around * 3, 0.3 * polar / np.pi, 0.5).reshape(-1, 3)
    return Piece(vertices, rest, grid_triangles(15, 25), Material.DRAPE, surface)
