"""Identities, scenes, hair and single pictures."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from logitleak.people.generate import render_image
from logitleak.people.hairstyle import STYLES, fit_hair_line
from logitleak.people.head import DELTA_UNIT, load_head
from logitleak.people.identity import sample_identity
from logitleak.people.mesh import make_patch
from logitleak.people.person import Person
from logitleak.people.render import render
from logitleak.people.scene import BLINK_RATE, EXPRESSIONS, sample_scene


def scene_at(variation, seed=5):
    return sample_scene(np.random.default_rng(seed), variation)


def test_identity_is_a_function_of_seed_and_number():
    first, second = sample_identity(3, 11), sample_identity(3, 11)
    for field in dataclasses.fields(first):
        np.testing.assert_equal(getattr(first, field.name), getattr(second, field.name))
    other = sample_identity(3, 12)
    assert not np.array_equal(first.local_shape, other.local_shape)
    assert not np.array_equal(first.local_shape, sample_identity(4, 11).local_shape)


def test_population_is_diverse():
    people = [sample_identity(0, index) for index in range(300)]
    styles = Counter(person.style for person in people)
    assert len(styles) >= 15
    assert max(styles.values()) < 60
    assert {person.style for person in people} | {person.child_style for person in people} <= set(STYLES)
    assert 0.1 < np.mean([person.glasses is not None for person in people]) < 0.35
    assert 0.15 < np.mean([person.beard != "none" for person in people]) < 0.5
    tones = np.array([person.skin_tone for person in people])
    assert np.percentile(tones, 5) < 1
    assert np.percentile(tones, 95) > 4.5
    ages = np.array([person.age for person in people])
    assert ages.min() >= 20
    assert ages.max() > 65


def test_eyes_are_open():
    scenes = [sample_scene(np.random.default_rng(seed)) for seed in range(2000)]
    assert np.mean([scene.blink for scene in scenes]) < 3 * BLINK_RATE
    assert BLINK_RATE <= 0.02
    people = [sample_identity(0, index) for index in range(300)]
    assert np.mean([person.eye_openness < 0 for person in people]) < 0.25
    slits = [scene.expression.get("eye-left-slit", 0.0) for scene in scenes]
    assert max(slits) < 0.3
    angry = np.mean([scene.expression.get("eyebrows-left-down", 0.0) > 0 for scene in scenes])
    assert angry < 0.06


def test_lids_do_not_cover_the_iris():
    head = load_head()
    skin = head.skin_vertices()
    for index in range(12):
        person = Person(sample_identity(0, index))
        scene = dataclasses.replace(scene_at(0.0), expression={}, blink=False)
        face = person.face(scene, masked=False)
        shut = person.face(dataclasses.replace(scene, blink=True), masked=False)
        for center in head.eye_centers(person.vertices):
            near = skin & (np.abs(face - center)[:, :2] < [0.06, 0.2]).all(axis=1) & (face[:, 2] > center[2])
            above = near & (head.vertices[:, 1] > 7.285)
            below = near & (head.vertices[:, 1] <= 7.285)
            opening = face[above, 1].min() - face[below, 1].max()
            assert opening > 0.035
            assert opening > 1.5 * (shut[above, 1].min() - shut[below, 1].max())


def test_no_variation_means_a_plain_frontal_scene():
    scene = scene_at(0.0)
    assert (scene.yaw, scene.pitch, scene.roll, scene.offset) == (0, 0, 0, (0, 0))
    assert not any(scene.expression.values())
    assert not scene.blink
    np.testing.assert_array_equal(scene.backdrop[0], scene_at(0.0, seed=6).backdrop[0])


def test_variation_scales_the_pose():
    half, full = scene_at(0.5), scene_at(1.0)
    assert half.yaw == pytest.approx(full.yaw / 2)
    assert half.yaw != 0
    assert half.seed == full.seed


def test_every_expression_unit_exists():
    head = load_head()
    for units in EXPRESSIONS.values():
        for unit in units:
            for axis in "abc":
                assert f"unit_{axis}/{unit}" in head.target_names


def test_add_target_moves_by_whole_units():
    head = load_head()
    name = "nose/nose-scale-vert-incr"
    once, twice = head.vertices.copy(), head.vertices.copy()
    head.add_target(once, name, 1.0)
    head.add_target(twice, name, 2.0)
    moved = once - head.vertices
    np.testing.assert_allclose(twice - head.vertices, 2 * moved, atol=2e-6)
    assert np.abs(moved).max() > 10 * DELTA_UNIT
    with pytest.raises(KeyError):
        head.add_target(once, "no/such-target", 1.0)


def test_patch_keeps_positions_and_splits_triangles():
    head = load_head()
    triangles = head.skin_triangles()[:50]
    patch = make_patch(triangles, 2)
    assert len(patch.triangles) == 16 * len(triangles)
    lifted = patch.lift(head.vertices)
    for corner in np.unique(triangles):
        assert (np.abs(lifted - head.vertices[corner]).max(axis=1) < 1e-5).any()


def test_a_fringe_lowers_the_hair_line():
    person = sample_identity(0, 0)
    forehead = np.array([[0.0, 7.8, 1.4]], np.float32)
    plain = fit_hair_line(dataclasses.replace(person, style="long"), child=False)
    fringe = fit_hair_line(dataclasses.replace(person, style="long fringe"), child=False)
    assert plain.above(forehead)[0] < 0 < fringe.above(forehead)[0]


@pytest.mark.parametrize("style", sorted(STYLES))
def test_every_style_renders(style):
    identity = dataclasses.replace(sample_identity(0, 1), style=style, beard="none", glasses=None)
    image = render(Person(identity), scene_at(0.3), supersample=1)
    assert image.shape == (64, 64, 3)
    assert image.dtype == np.uint8
    assert image.std() > 15


def test_a_person_looks_alike_and_unlike_others():
    def faces_of(index):
        person = Person(sample_identity(0, index))
        scenes = [scene_at(0.3, seed=10 * index + number) for number in range(4)]
        return np.array([render(person, scene, supersample=1) for scene in scenes], float)

    faces = [faces_of(index) for index in range(4)]
    within = np.mean([np.abs(face - face.mean(axis=0)).mean() for face in faces])
    centers = np.array([face.mean(axis=0) for face in faces])
    between = np.mean([np.abs(a - b).mean() for k, a in enumerate(centers) for b in centers[:k]])
    assert between > 1.2 * within


def test_domains_differ():
    identity = sample_identity(0, 2)
    scene = scene_at(0.3)
    adult, child = Person(identity), Person(identity, child=True)
    plain = render(adult, scene, supersample=1).astype(float)
    masked = render(adult, scene, masked=True, supersample=1).astype(float)
    young = render(child, scene, supersample=1).astype(float)
    upper, lower = np.s_[4:24, 16:48], np.s_[40:54, 22:42]
    assert np.abs(plain - masked)[lower].mean() > 15
    assert np.abs(plain - masked)[upper].mean() < 5
    assert np.abs(plain - young).mean() > 8


def test_supersampling_changes_little():
    identity = sample_identity(0, 4)
    fine = render_image(identity, "adult", 0, seed=0, variation=0.5, supersample=3).astype(float)
    coarse = render_image(identity, "adult", 0, seed=0, variation=0.5, supersample=2).astype(float)
    assert np.abs(fine - coarse).mean() < 6
