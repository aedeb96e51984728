"""The shape of a person's head at a given age, and expressions on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from logitleak.people.fields import FloatArray
from logitleak.people.head import Head, load_head
from logitleak.people.identity import CHILD_AGE, Identity

# Targets come in opposite pairs, and a control runs from one to the other.
_OPPOSITES = (
    ("-incr", "-decr"),
    ("-up", "-down"),
    ("-out", "-in"),
    ("-forward", "-backward"),
    ("-convex", "-concave"),
    ("-compress", "-uncompress"),
)
_AMPLITUDE = {
    "head": 0.27,
    "eyes": 0.27,
    "nose": 0.31,
    "mouth": 0.29,
    "chin": 0.33,
    "cheek": 0.36,
    "ears": 0.33,
    "forehead": 0.28,
    "eyebrows": 0.3,
}
# Controls that move the head away from its neck or make it look broken rather than individual.
_UNUSED = (
    "head/head-trans",
    "head/head-angle",
    "head/head-age",
    "head/head-scale-depth",
    "head/head-scale-vert",
    "ears/ear-shape",
    "mouth/mouth-trans-out",
    "nose/nose-trans-out",
)
_DAMPED = {"eye-scale": 0.5, "eye-push": 0.6, "ear-wing": 0.6, "eyefold": 0.5, "brows-angle": 0.4, "bag": 0.5}
_CHILD_AMPLITUDE = 0.75
_ASYMMETRY = 0.04
_AGES = ("baby", "child", "young", "old")
# The scale of the source: a baby is 1, a child 10, an adult 25 and an old person 90 years old.
_AGE_KNOTS = (1.0, 10.0, 25.0, 90.0)


@dataclass(frozen=True)
class _Control:
    """A direction in local shape: (plus, minus) target per side of the face; minus None is one-sided."""

    key: str
    targets: tuple[tuple[str, str | None], ...]


@cache
def _controls() -> tuple[_Control, ...]:
    """All local controls; the left and right side of the face share one."""
    names = {n for n in load_head().target_names if n.split("/")[0] in _AMPLITUDE}
    opposites = {
        stem + plus: stem + minus
        for plus, minus in _OPPOSITES
        for stem in (name.removesuffix(plus) for name in names if name.endswith(plus))
        if stem + minus in names
    }
    groups: dict[str, list[tuple[str, str | None]]] = {}
    for name in sorted(names - set(opposites.values())):
        if not name.startswith(_UNUSED):
            key = name.replace("/l-", "/").replace("/r-", "/")
            groups.setdefault(key, []).append((name, opposites.get(name)))
    return tuple(_Control(key, tuple(targets)) for key, targets in groups.items())


def shape_head(identity: Identity, *, child: bool) -> FloatArray:
    """Vertices [V, 3] of the person's resting face as an adult or as a child."""
    head = load_head()
    vertices = head.vertices.copy()
    _add_macro_shape(head, vertices, identity, CHILD_AGE if child else identity.age)
    _add_local_shape(head, vertices, identity, _CHILD_AMPLITUDE if child else 1.0)
    return vertices


def _add_macro_shape(head: Head, vertices: FloatArray, identity: Identity, age: float) -> None:
    ages = _age_weights(age)
    genders = {"female": 1 - identity.masculinity, "male": identity.masculinity}
    muscle = _three_levels("muscle", identity.muscle)
    weight = _three_levels("weight", identity.weight)
    for gender, gender_share in genders.items():
        for age_name, age_share in ages.items():
            share = gender_share * age_share
            for axis, axis_share in zip("abc", identity.shape_mix, strict=True):
                head.add_target(vertices, f"shape_{axis}/{gender}-{age_name}", share * axis_share)
            for m, m_share in muscle.items():
                for w, w_share in weight.items():
                    name = f"build/{gender}-{age_name}-{m}-{w}"
                    head.add_target(vertices, name, share * m_share * w_share)


def _age_weights(age: float) -> dict[str, float]:
    position = np.interp(age, _AGE_KNOTS, range(len(_AGES)))
    return {name: float(max(0.0, 1 - abs(position - k))) for k, name in enumerate(_AGES)}


def _three_levels(quantity: str, value: float) -> dict[str, float]:
    return {
        f"min{quantity}": max(0.0, 1 - 2 * value),
        f"average{quantity}": 1 - abs(2 * value - 1),
        f"max{quantity}": max(0.0, 2 * value - 1),
    }


def _add_local_shape(head: Head, vertices: FloatArray, identity: Identity, scale: float) -> None:
    for k, control in enumerate(_controls()):
        amount = identity.local_shape[k] * _AMPLITUDE[control.key.split("/")[0]]
        for part, factor in _DAMPED.items():
            amount *= factor if part in control.key else 1.0
        amount = float(np.clip(amount, -0.8, 0.8)) * scale
        for side, (plus, minus) in enumerate(control.targets):
            skew = _ASYMMETRY * identity.asymmetry[k] * (1 if side else -1) * (len(control.targets) > 1)
            if minus is None:
                head.add_target(vertices, plus, 0.7 * max(0.0, amount))
            else:
                side_amount = amount + skew
                head.add_target(vertices, plus if side_amount >= 0 else minus, abs(side_amount))


def add_expression(vertices: FloatArray, identity: Identity, units: Mapping[str, float]) -> None:
    """Add expression units (name -> weight) to ``vertices`` [V, 3] in place."""
    head = load_head()
    for unit, weight in units.items():
        for axis, share in zip("abc", identity.shape_mix, strict=True):
            head.add_target(vertices, f"unit_{axis}/{unit}", weight * share)
