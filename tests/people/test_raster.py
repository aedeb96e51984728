"""The rasterizer against a slow, plain point-in-triangle search."""

from __future__ import annotations

import numpy as np
import pytest

from logitleak.people.raster import rasterize


def brute_force(x, y, depth, triangles, width, height, allowed):
    """Nearest triangle and its depth per pixel, by testing every triangle at every pixel center."""
    nearest = np.full(width * height, -1)
    nearest_depth = np.full(width * height, np.inf)
    for row in range(height):
        for column in range(width):
            px, py = column + 0.5, row + 0.5
            for index, (a, b, c) in enumerate(triangles):
                matrix = np.array([[x[a], x[b], x[c]], [y[a], y[b], y[c]], [1, 1, 1]], float)
                if not allowed[index] or abs(np.linalg.det(matrix)) < 1e-9:
                    continue
                weights = np.linalg.solve(matrix, [px, py, 1.0])
                if weights.min() < 0:
                    continue
                at = weights @ [depth[a], depth[b], depth[c]]
                if at < nearest_depth[row * width + column]:
                    nearest[row * width + column], nearest_depth[row * width + column] = index, at
    return nearest, nearest_depth


def random_mesh(seed):
    """Thirty triangles, partly outside a 24 x 18 picture."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-5, 29, 40), rng.uniform(-5, 23, 40)
    return x, y, rng.uniform(0, 10, 40), rng.integers(0, 40, (30, 3))


@pytest.mark.parametrize("seed", range(4))
def test_matches_brute_force(seed):
    x, y, depth, triangles = random_mesh(seed)
    found = rasterize(x, y, depth, triangles, 24, 18)
    expected, expected_depth = brute_force(x, y, depth, triangles, 24, 18, np.ones(30, bool))
    np.testing.assert_array_equal(found.triangle, expected)
    hit = expected >= 0
    assert hit.any()
    assert not hit.all()
    np.testing.assert_allclose(found.depth[hit], expected_depth[hit], atol=1e-3)
    assert np.isinf(found.depth[~hit]).all()


def test_weights_reproduce_the_pixel_center():
    x, y, depth, triangles = random_mesh(7)
    found = rasterize(x, y, depth, triangles, 24, 18)
    pixel = np.nonzero(found.triangle >= 0)[0]
    corners = triangles[found.triangle[pixel]]
    at_x = (x[corners] * found.weights[pixel]).sum(axis=1)
    at_y = (y[corners] * found.weights[pixel]).sum(axis=1)
    np.testing.assert_allclose(at_x, pixel % 24 + 0.5, atol=1e-3)
    np.testing.assert_allclose(at_y, pixel // 24 + 0.5, atol=1e-3)


def test_culls_triangles_that_face_away():
    x, y, depth, triangles = random_mesh(3)
    corner_x, corner_y = x[triangles], y[triangles]
    area = (corner_x[:, 1] - corner_x[:, 0]) * (corner_y[:, 2] - corner_y[:, 0])
    area -= (corner_x[:, 2] - corner_x[:, 0]) * (corner_y[:, 1] - corner_y[:, 0])
    found = rasterize(x, y, depth, triangles, 24, 18, cull=np.ones(30, bool))
    expected, _ = brute_force(x, y, depth, triangles, 24, 18, area < 0)
    np.testing.assert_array_equal(found.triangle, expected)


def test_discarded_fragments_show_what_is_behind():
    x, y = np.array([0, 20, 0, 0, 20, 0.0]), np.array([0, 0, 20, 0, 0, 20.0])
    depth = np.array([1, 1, 1, 2, 2, 2.0])
    triangles = np.array([[0, 1, 2], [3, 4, 5]])
    found = rasterize(x, y, depth, triangles, 8, 8, discard=lambda index, weights: index == 0)
    assert set(found.triangle.tolist()) == {1}


def test_neighbors_leave_no_seam():
    x, y = np.array([0, 16, 16, 0.0]), np.array([0, 0, 16, 16.0])
    found = rasterize(x, y, np.zeros(4), np.array([[0, 1, 2], [0, 2, 3]]), 16, 16)
    assert (found.triangle >= 0).all()


def test_empty_mesh():
    found = rasterize(np.zeros(3), np.zeros(3), np.zeros(3), np.zeros((0, 3), int), 4, 4)
    assert (found.triangle == -1).all()
