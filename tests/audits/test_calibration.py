"""LiRA, offline and online: against SciPy's normal distribution and plain loops; what is planted, and what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import PlantedView
from scipy import stats

from logitleak.attacks.views import SumView
from logitleak.audits.base import Asked, Played, create
from logitleak.audits.calibration import Feature, Sides, likelier, log_ratio
from logitleak.audits.identity import OFFLINE, ONLINE
from logitleak.metrics.detection import area
from logitleak.stages.seen import AskedAbout

FEATURES: list[Feature] = [("sensitive", 3.0), ("own", 10.0)]


def test_the_ratio_is_that_of_two_normal_densities() -> None:
    values = torch.linspace(-4, 6, 50, dtype=torch.float64)
    sides = [tuple(torch.tensor(x, dtype=torch.float64) for x in side) for side in ((2.0, 1.5), (-0.5, 0.7))]
    expected = stats.norm.logpdf(values, 2.0, 1.5) - stats.norm.logpdf(values, -0.5, 0.7)
    np.testing.assert_allclose(log_ratio(values, sides[0], sides[1]), expected, rtol=1e-12)


def test_online_by_plain_loops() -> None:
    """Two federations with two clients; of three people the first is in at client 0 of the first, and so on."""
    rng = np.random.default_rng(0)
    inside = [np.array([[1, 0, 0], [0, 0, 1]], bool), np.array([[0, 0, 0], [0, 1, 0]], bool)]
    outside = [np.array([[0, 1, 0], [0, 1, 0]], bool), np.array([[1, 0, 1], [1, 0, 1]], bool)]
    scores = {feature: rng.normal(size=(2, 2, 3)) for feature in FEATURES}
    usual = {feature: rng.normal(size=(2, 2, 4)) for feature in FEATURES}
    usual[FEATURES[0]][0, 1, 2] = np.nan
    found = {feature: rng.normal(size=(2, 4)) for feature in FEATURES}
    expected = np.zeros((2, 4))
    for feature in FEATURES:
        squares, degrees, raised = 0.0, 0, []
        for person in range(3):
            out = np.array(
                [scores[feature][w, k, person] for w in (0, 1) for k in (0, 1) if outside[w][k, person]]
            )
            squares, degrees = squares + ((out - out.mean()) ** 2).sum(), degrees + len(out) - 1
            raised += [
                scores[feature][w, k, person] - out.mean()
                for w in (0, 1)
                for k in (0, 1)
                if inside[w][k, person]
            ]
        for target in range(4):
            out = usual[feature][:, :, target].flatten()
            out = out[~np.isnan(out)]
            squares, degrees = squares + ((out - out.mean()) ** 2).sum(), degrees + len(out) - 1
        for target in range(4):
            out = usual[feature][:, :, target].flatten()
            out = out[~np.isnan(out)]
            wide = np.sqrt(squares / degrees * (1 + 1 / len(out)))
            beyond = found[feature][:, target] - out.mean()
            member = stats.norm(np.mean(raised), np.std(raised, ddof=1)).logpdf(beyond)
            expected[:, target] += member - stats.norm(0, wide).logpdf(beyond)
    people = [
        Sides(
            {feature: torch.tensor(scores[feature][w]) for feature in FEATURES},
            torch.tensor(inside[w]),
            torch.tensor(outside[w]),
        )
        for w in (0, 1)
    ]
    given = {feature: torch.tensor(value) for feature, value in found.items()}
    lab = [{feature: torch.tensor(usual[feature][w]) for feature in FEATURES} for w in (0, 1)]
    np.testing.assert_allclose(likelier(given, lab, people), expected, rtol=1e-9)
    alone = [people[0]._replace(inside=torch.zeros(2, 3, dtype=torch.bool))]
    assert bool(likelier(given, lab, alone).isnan().all())  # nobody was in: nothing is known of that
    assert bool(likelier(given, lab, []).isnan().all())


def played(asks_sum: bool, strength: float, seed: int) -> tuple[list[AskedAbout], list[Played]]:
    """Two federations of a server's own: targets 0 to 7 are held by nobody, half of 8 to 15 is in in each."""
    lab, people = [], []
    coins = torch.randperm(8, generator=torch.Generator().manual_seed(seed)) < 4
    for world, used in enumerate((coins, ~coins)):
        inside = torch.cat([torch.zeros(8, dtype=torch.bool), used])
        view = PlantedView(
            classes=24,
            targets=16,
            strength=strength,
            inside=inside,
            seed=1000 + 2 * seed + world,
            labelled=False,
        )
        seen = SumView(view) if asks_sum else view
        lab.append(AskedAbout(seen, torch.arange(8)))
        mine = torch.arange(4)[:, None] == view.owners[8:]
        held, out = mine & used, (~used).expand(4, 8)
        if asks_sum:
            held, out = held.any(0, keepdim=True), out[:1]
        people.append(Played(AskedAbout(seen, torch.arange(8, 16)), held, out))
    return lab, people


@pytest.mark.parametrize("asks_sum", [False, True])
def test_what_is_planted_is_found_and_else_it_is_a_coin(asks_sum: bool) -> None:
    """Targets of which everybody believes more in some are told from members, offline and online."""
    usual = torch.linspace(0, 2, 16)
    for strength, low, high in ((0.0, 0.43, 0.57), (3.0, 0.9, 1.0)):
        scores: dict[str, tuple[list[float], list[float]]] = {OFFLINE: ([], []), ONLINE: ([], [])}
        for seed in range(40):
            used = torch.randperm(8, generator=torch.Generator().manual_seed(seed)) < 4
            inside = torch.cat([used, torch.zeros(8, dtype=torch.bool)])
            view = PlantedView(
                classes=24, targets=16, strength=strength, inside=inside, seed=seed, labelled=False
            )
            lab, people = played(asks_sum, strength, seed)
            inner = [one.inner.inner if asks_sum else one.inner for one in lab]  # type: ignore[attr-defined]
            for one in (view, *inner):
                one.logits[:4, :, :, :16] += usual
            about = replace(Asked.nothing(), lab=lab, people=people)
            asked = AskedAbout(SumView(view) if asks_sum else view, torch.arange(8))
            answers = create("identity").ask(asked, about)
            for name, (members, others) in scores.items():
                of_targets = answers[name][0 if asks_sum else view.owners[:8], torch.arange(8)]
                members += of_targets[used].tolist()
                others += of_targets[~used].tolist()
        for name, (members, others) in scores.items():
            found = area(members, others)["value"]
            assert low <= found <= high, (asks_sum, strength, name, found)


def test_without_people_there_is_no_online_line() -> None:
    lab, _ = played(False, 0.0, 0)
    found = create("identity").ask(PlantedView(), replace(Asked.nothing(), lab=lab))
    assert OFFLINE in found
    assert ONLINE not in found
