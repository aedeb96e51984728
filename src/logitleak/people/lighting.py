"""Light: the shadow map and the shading formula."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from logitleak.people.fields import FloatArray, dot, normalize
from logitleak.people.mesh import Triangles
from logitleak.people.raster import rasterize
from logitleak.people.scene import Scene

_SHADOW_PIXELS = 96
_SHADOW_WINDOW = 3.2
_SHADOW_BIAS = 0.05
_LIFT_OFF_SURFACE = 0.04
# A 3 x 3 tent of nearby depth tests softens the edge of a shadow.
_TAPS = [(dx, dy, (2 - abs(dx)) * (2 - abs(dy)) / 16) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
_TAP_SPREAD = 1.2


@dataclass(frozen=True)
class Surface:
    """What the camera sees at N sample points: position, unit normal and how the material takes light.

    ``albedo`` [N, 3], ``specular`` and ``gloss`` [N], ``wrap`` [N, 3] (how far light bleeds around),
    ``ambient`` [N] (share of the sky that is visible), ``sheen`` [N, 3] (added highlight of hair),
    ``warm_shadow`` bool [N] (skin lets some red light through).
    """

    position: FloatArray
    normal: FloatArray
    albedo: FloatArray
    specular: FloatArray
    gloss: FloatArray
    wrap: FloatArray
    ambient: FloatArray
    sheen: FloatArray
    warm_shadow: FloatArray


class ShadowMap:
    """Depth of a mesh as seen from the light."""

    def __init__(
        self,
        vertices: FloatArray,
        triangles: Triangles,
        direction: FloatArray,
        center: FloatArray,
        scale: float,
    ) -> None:
        """``direction`` is a unit vector [3] toward the light; ``scale`` the size of the head."""
        self._side = normalize(np.cross([0, 1, 0], direction))
        self._up = np.cross(direction, self._side).astype(np.float32)
        self._direction, self._center, self._scale = direction, center, scale
        x, y, depth = self._project(vertices)
        raster = rasterize(x, y, depth, triangles, _SHADOW_PIXELS, _SHADOW_PIXELS)
        self._depth = raster.depth.reshape(_SHADOW_PIXELS, _SHADOW_PIXELS)

    def _project(self, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        local = points - self._center
        zoom = _SHADOW_PIXELS / (_SHADOW_WINDOW * self._scale)
        half = _SHADOW_PIXELS / 2
        return (
            half + dot(local, self._side) * zoom,
            half - dot(local, self._up) * zoom,
            -dot(local, self._direction),
        )

    def lit(self, position: FloatArray, normal: FloatArray) -> FloatArray:
        """Share of the light that reaches points [N, 3], [N] in [0, 1]."""
        x, y, depth = self._project(position + normal * np.float32(_LIFT_OFF_SURFACE * self._scale))
        depth = depth - np.float32(_SHADOW_BIAS * self._scale)
        share = np.zeros(len(position), np.float32)
        for dx, dy, weight in _TAPS:
            column = np.clip(np.rint(x - 0.5 + dx * _TAP_SPREAD).astype(np.int64), 0, _SHADOW_PIXELS - 1)
            row = np.clip(np.rint(y - 0.5 + dy * _TAP_SPREAD).astype(np.int64), 0, _SHADOW_PIXELS - 1)
            share += np.float32(weight) * (self._depth[row, column] >= depth)
        return share


def half_vector(scene: Scene) -> FloatArray:
    """Unit vector [3] between the directions to the light and to the camera."""
    return normalize(scene.light_direction + np.array([0, 0, 1], np.float32))


def shade(surface: Surface, scene: Scene, lit: FloatArray) -> FloatArray:
    """Linear light [N, 3] that leaves the surface, given the lit share [N]."""
    normal = surface.normal
    toward = dot(normal, scene.light_direction)
    diffuse = np.clip((toward[:, None] + surface.wrap) / (1 + surface.wrap), 0, None)
    floor = surface.warm_shadow[:, None] * np.array([0.12, 0.05, 0.03], np.float32)
    direct = diffuse * (floor + (1 - floor) * lit[:, None]) * scene.light_color * scene.light_strength * 1.15
    facing = np.clip(normal[:, 2:3], 0, 1)
    sky = scene.ambient * (0.62 + 0.38 * normal[:, 1:2]) * (0.61 + 0.39 * facing)
    sky = sky * np.array([1.0, 1.0, 1.03], np.float32)
    seen = surface.ambient[:, None]
    color = surface.albedo * (direct + sky * seen) * (0.5 + 0.5 * seen)
    shine = np.clip(dot(normal, half_vector(scene)), 0, 1) ** surface.gloss * (surface.gloss + 8) / 24
    grazing = 0.6 + 0.9 * (1 - facing[:, 0]) ** 3
    highlight = surface.specular * grazing * shine * lit * 0.5
    color = color + highlight[:, None] * scene.light_color * scene.light_strength
    color = color + surface.sheen * lit[:, None] * scene.light_strength
    return np.asarray(color, np.float32)
