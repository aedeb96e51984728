"""Attack accuracy against a literal reading of its definition."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from logitleak.metrics.attack import References, judge, references, summarize
from logitleak.sealed.truth import GroundTruth
from logitleak.types import PublicData, Reconstructions


def small_world(seed: int = 0) -> tuple[GroundTruth, PublicData]:
    """Six labels; 1, 3 and 4 are private; every label has public images."""
    generator = torch.Generator().manual_seed(seed)
    faces = torch.rand(6, 3, 4, 4, generator=generator)
    faces = torch.nn.functional.interpolate(faces, size=16, mode="bilinear")

    def photos(labels: list[int], shift: float) -> torch.Tensor:
        noise = torch.rand(len(labels), 3, 16, 16, generator=generator) * 0.2
        return ((faces[labels] * 0.8 + noise * shift) * 255).to(torch.uint8)

    private = [1, 1, 3, 4, 4, 4]
    labels = [0, 0, 1, 2, 3, 4, 5, 5]
    truth = GroundTruth(
        photos(private, 1.0), torch.tensor(private), torch.tensor([0, 0, 1, 0, 0, 0]),
        torch.empty(0, 3, 16, 16, dtype=torch.uint8), torch.empty(0, dtype=torch.int64),
        torch.tensor(labels), list("abcdef"),
    )  # fmt: skip
    public = PublicData(photos(labels, 0.5), torch.tensor(labels), torch.tensor([True] * 2 + [False] * 6))
    return truth, public


def literal(image: torch.Tensor, label: int, truth: GroundTruth, public: PublicData) -> tuple[bool, str]:
    """Success, and the best match, by loops over labels."""

    def similarity(other: torch.Tensor) -> float:
        mean = (other.double() / 255).mean(0)
        value = structural_similarity_index_measure(image.double()[None], mean[None], data_range=1.0)
        assert isinstance(value, torch.Tensor)
        return float(value)

    assert public.labels is not None
    scores = {f"private:{j}": similarity(truth.images[truth.labels == j]) for j in (1, 3, 4)}
    scores |= {f"public:{j}": similarity(public.images[public.labels == j]) for j in range(6)}
    own = scores[f"private:{label}"]
    return own > max(v for k, v in scores.items() if k != f"private:{label}"), max(
        scores, key=scores.__getitem__
    )


@pytest.mark.parametrize("labelled", [True, False])
def test_verdicts_are_the_definition(labelled: bool) -> None:
    """Public means compete whether or not the federation labels its public set."""
    truth, public = small_world()
    known = references(truth, public if labelled else replace(public, labels=None))
    assert known.labels.tolist() == [1, 3, 4]
    assert known.owners.tolist() == [0, 1, 0]
    outcomes = set()
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        mixed = torch.rand(3, 1, 1, 1, generator=generator)
        noise = torch.rand(3, 3, 16, 16, generator=generator)
        guess = mixed * known.private + (1 - mixed) * known.public_of_targets + 0.05 * noise
        verdicts = judge(guess, known)
        for i, label in enumerate(known.labels.tolist()):
            success, best = literal(guess[i], label, truth, public)
            assert bool(verdicts.success[i]) == success
            assert verdicts.best_match[i] == best
            assert bool(verdicts.too_close[i]) == (best == f"public:{label}")
            outcomes.add(success)
    assert outcomes == {True, False}


def score(result: Reconstructions, known: References) -> dict[str, Any]:
    return summarize(result, judge(result.best, known), known)


def test_truth_itself_succeeds_and_public_mean_is_too_close() -> None:
    truth, public = small_world()
    known = references(truth, public)
    labels, chosen = known.labels, torch.zeros(3, dtype=torch.int64)
    perfect = score(Reconstructions(known.private[None], labels, chosen, torch.zeros(1, 3)), known)
    assert perfect["accuracy"]["value"] == 1
    assert perfect["mean"]["ssim"] == 1
    assert perfect["mean"]["mse"] == 0
    assert perfect["owner_named"] is None
    lazy = score(Reconstructions(known.public_of_targets[None], labels, chosen, torch.zeros(1, 3)), known)
    assert lazy["accuracy"]["value"] == 0
    assert lazy["too_close_to_public"]["value"] == 1


def test_owner_named_counts_the_chosen_client() -> None:
    truth, public = small_world()
    known = references(truth, public)
    images = known.private.expand(2, *known.private.shape)
    chosen = torch.tensor([0, 1, 1])
    scores = torch.tensor([[0.0, 2.0, 2.0], [1.0, 1.0, 1.0]])
    found = score(Reconstructions(images, known.labels, chosen, scores), known)
    assert found["owner_named"]["successes"] == 2
    assert [row["chosen"] for row in found["per_target"]] == [0, 1, 1]
    scores[:, 0] = 1.0  # a tie names nobody
    tied = score(Reconstructions(images, known.labels, chosen, scores), known)
    assert (tied["owner_named"]["successes"], tied["owner_named"]["trials"]) == (1, 3)
    nobody = Reconstructions(images, known.labels, chosen, torch.zeros(2, 3))
    assert score(nobody, known)["owner_named"] is None
