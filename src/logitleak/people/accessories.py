"""Glasses and face masks."""

from __future__ import annotations

import numpy as np

from logitleak.people.fields import FloatArray, ramp, stack3
from logitleak.people.head import Head
from logitleak.people.identity import Glasses
from logitleak.people.mesh import grid_triangles
from logitleak.people.pieces import HeadFrame, Material, Piece

# Accessories are painted without reference to the skin: any point of the face will do.
_ANYWHERE = np.array([0.0, 7.0, 1.3], np.float32)
_TUBE_SIDES = 7
_RIM_POINTS = 33
_MASK_ROWS, _MASK_COLUMNS = 17, 33
_MASK_REACH = np.radians(72)


def glasses_pieces(glasses: Glasses, frame: HeadFrame) -> list[Piece]:
    """Rims, bridge and temples for a head with this frame."""
    scale = frame.scale
    left, right = frame.left_eye, frame.right_eye
    plane = max(left[2], right[2]) + 0.3 * scale
    turn = np.linspace(0, 2 * np.pi, _RIM_POINTS)
    power = 2 / glasses.squareness
    rim_x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power * glasses.half_width * scale
    rim_y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power * glasses.half_height * scale
    wire = glasses.wire * scale
    pieces = []
    for eye in (left, right):
        side = np.sign(eye[0])
        x = 1.02 * eye[0] + rim_x
        pieces.append(_tube(stack3(x, eye[1] - 0.035 * scale + rim_y, plane - 0.12 * x**2), wire))
        hinge = 1.02 * eye[0] + side * glasses.half_width * scale
        ear = side * frame.half_width
        height = eye[1] + 0.03 * scale
        temple = [
            (hinge, height, plane - 0.12 * hinge**2),
            (ear, height, plane - 0.45 * scale),
            (ear, height - 0.01 * scale, frame.pivot[2] + 0.4 * scale),
        ]
        pieces.append(_tube(np.array(temple, np.float32), 0.9 * wire))
    inner = 1.02 * left[0] - glasses.half_width * scale
    middle = left[1] + 0.02 * scale
    bridge = [(-inner, middle, plane), (0, middle + 0.04 * scale, plane + 0.02), (inner, middle, plane)]
    pieces.append(_tube(np.array(bridge, np.float32), wire))
    return pieces


def _tube(path: FloatArray, radius: float) -> Piece:
    """A round wire along ``path`` [P, 3]."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    up = np.array([0, 0, 1.0]) if np.abs(along[:, 2]).mean() < 0.5 else np.array([0, 1.0, 0])
    first = np.cross(along, up)
    first /= np.linalg.norm(first, axis=1, keepdims=True) + 1e-9
    second = np.cross(along, first)
    turn = np.linspace(0, 2 * np.pi, _TUBE_SIDES)[None, :, None]
    ring = np.cos(turn) * first[:, None] + np.sin(turn) * second[:, None]
    vertices = (path[:, None] + radius * ring).reshape(-1, 3).astype(np.float32)
    triangles = grid_triangles(len(path), _TUBE_SIDES)
    return Piece(vertices, _rest_of(vertices), triangles, Material.GLASSES, np.zeros_like(vertices))


def _rest_of(vertices: FloatArray) -> FloatArray:
    return np.broadcast_to(_ANYWHERE, vertices.shape).astype(np.float32)


def mask_pieces(head: Head, vertices: FloatArray, frame: HeadFrame) -> list[Piece]:
    """A face mask that covers nose, mouth and chin of a face with ``vertices`` [V, 3], and its straps."""
    scale = frame.scale
    columns = np.linspace(-1, 1, _MASK_COLUMNS, dtype=np.float32)
    across, down = np.meshgrid(columns, np.linspace(0, 1, _MASK_ROWS, dtype=np.float32))
    outer = np.abs(across)
    top = frame.eye_middle[1] - 0.19 * scale - 0.18 * scale * ramp(0.1, 0.5, outer) - 0.12 * scale * outer**3
    bottom = frame.chin[1] - 0.05 * scale + 0.42 * scale * outer**2
    height = np.asarray(top * (1 - down) + bottom * down, np.float32)
    axis_z = frame.pivot[2] + 0.25
    radius = _drape_over(head, vertices, axis_z, across, height, scale)
    # Pleats and a little air between the cloth and the skin.
    radius = radius + 0.03 * scale
    radius = radius + 0.015 * np.sin(np.clip((down - 0.3) / 0.45, 0, 1) * np.pi * 3) * (outer < 0.8)
    angle = across * _MASK_REACH
    cloth = stack3(np.sin(angle) * radius, height, axis_z + np.cos(angle) * radius)
    flat = cloth.reshape(-1, 3)
    surface = stack3(across, down, 0.0).reshape(-1, 3)
    triangles = grid_triangles(_MASK_ROWS, _MASK_COLUMNS)
    pieces = [Piece(flat, _rest_of(flat), triangles, Material.MASK, surface)]
    for side in (-1, 1):
        edge = cloth[:, -1 if side > 0 else 0]
        ear = np.array([side * frame.half_width * 1.02, frame.eye_middle[1], frame.pivot[2] + 0.42 * scale])
        pieces.append(_strap(edge[1], ear + np.array([0, 0.01 * scale, 0]), side, scale))
        pieces.append(_strap(edge[-2], ear - np.array([0, 0.27 * scale, 0]), side, scale))
    return pieces


def _drape_over(
    head: Head, vertices: FloatArray, axis_z: float, across: FloatArray, height: FloatArray, scale: float
) -> FloatArray:
    """Distance of a taut cloth from a vertical axis: an upper hull of the skin with rounded corners."""
    rest = head.vertices
    lower_face = (rest[:, 2] > 0.5) & (rest[:, 1] > 6.0) & (rest[:, 1] < 7.35)
    skin = vertices[head.skin_vertices() & (head.inner_mouth < 0.3) & lower_face]
    turn = np.arctan2(skin[:, 0], skin[:, 2] - axis_z)
    reach = np.hypot(skin[:, 0], skin[:, 2] - axis_z)
    bend = 0.75 * (across.reshape(-1, 1) * _MASK_REACH - turn) ** 2
    fall = 1.3 / scale * (height.reshape(-1, 1) - skin[:, 1]) ** 2
    return np.asarray((reach - bend - fall).max(axis=1).reshape(across.shape), np.float32)


def _strap(start: FloatArray, end: FloatArray, side: int, scale: float) -> Piece:
    half = np.array([0, 0.028 * scale, 0])
    corners = np.stack([start + half, start - half, end + half, end - half])
    vertices = (corners + np.array([0.02 * side, 0, 0])).astype(np.float32)
    triangles = np.array([[0, 1, 2], [1, 3, 2]], np.int32)
    return Piece(vertices, _rest_of(vertices), triangles, Material.STRAP, np.zeros_like(vertices))
