"""What every registered attack must do, whatever it computes."""

from typing import Any

import pytest
import torch
from memory import MemoryView

from logitleak import registry
from logitleak.attacks.base import create
from logitleak.attacks.selection import select
from logitleak.errors import UserError

SMALL: dict[str, dict[str, Any]] = {
    "cpl": {"steps": 1, "evaluations": 3},
    "dlg": {"steps": 1, "evaluations": 3},
    "gradients": {"steps": 3},
    "gs": {"steps": 3},
    "idlg": {"steps": 1, "evaluations": 3},
    "mgan-ai": {"steps": 2, "samples": 2, "gan_steps": 2, "gan_batch": 4, "gan_filters": 4},
    "mi-face": {"steps": 3},
    "pli": {"width": 16, "batch": 4, "steps": 3},
    "secret-revealer": {
        "steps": 3,
        "starts": 2,
        "gan_steps": 2,
        "gan_batch": 4,
        "gan_filters": 4,
        "gan_critics": 1,
    },
    "tbi": {"width": 16, "batch": 4, "steps": 3},
}


@pytest.mark.parametrize("name", registry.names("attack"))
class TestEveryAttack:
    def test_shapes_range_and_choice(self, name: str) -> None:
        view = MemoryView()
        rounds = list(create(name, SMALL.get(name)).replay(view))
        assert [round for round, _ in rounds] == [1, 2]
        for _, result in rounds:
            assert result.images.shape == (3, 2, 3, 16, 16)
            assert result.images.dtype == torch.float32
            assert bool(((result.images >= 0) & (result.images <= 1)).all())
            assert torch.equal(result.labels, view.knowledge.target_labels)
            assert torch.equal(result.chosen, result.scores.argmin(0))
            assert result.images.isfinite().all()

    def test_same_seed_same_images(self, name: str) -> None:
        first, second = (list(create(name, SMALL.get(name), seed=4).replay(MemoryView())) for _ in range(2))
        assert all(torch.equal(a.images, b.images) for (_, a), (_, b) in zip(first, second, strict=True))

    def test_goes_on_from_its_state(self, name: str) -> None:
        view = MemoryView()
        straight = create(name, SMALL.get(name))
        replay = straight.replay(view)
        next(replay)
        kept = {key: value.clone() for key, value in straight.state().items()}
        _, expected = next(replay)
        resumed = create(name, SMALL.get(name))
        resumed.load_state(kept, view)
        ((round, found),) = list(resumed.replay(view, after=1))
        assert round == 2
        assert torch.equal(found.images, expected.images)

    def test_one_client_one_round(self, name: str) -> None:
        ((_, result),) = list(create(name, SMALL.get(name)).replay(MemoryView(clients=1, rounds=1)))
        assert result.chosen.tolist() == [0, 0]

    def test_missing_knowledge_is_said_first(self, name: str) -> None:
        view = MemoryView()
        view.provides = frozenset()  # type: ignore[misc]
        with pytest.raises(UserError, match="This attack needs"):
            next(create(name, SMALL.get(name)).replay(view))

    def test_no_sensitive_public_image(self, name: str) -> None:
        view = MemoryView()
        view.knowledge.public.sensitive[:] = False
        with pytest.raises(UserError, match="sensitive public images"):
            next(create(name, SMALL.get(name)).replay(view))

    def test_unknown_setting(self, name: str) -> None:
        with pytest.raises(UserError, match='no setting "betta".*"beta"'):
            create(name, {"betta": 1})

    @pytest.mark.parametrize("beta", [-1, float("nan"), "hot"])
    def test_bad_value(self, name: str, beta: Any) -> None:
        with pytest.raises(UserError, match="beta"):
            create(name, {"beta": beta})

    def test_global_random_state_is_left_alone(self, name: str) -> None:
        torch.manual_seed(1)
        expected = torch.rand(1)
        torch.manual_seed(1)
        list(create(name, SMALL.get(name)).replay(MemoryView()))
        assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("q", ["full", "client", "client+server", "client+entropy", "server"])
@pytest.mark.parametrize("name", ["pli", "ridge"])
def test_every_q(name: str, q: str) -> None:
    attack = create(name, SMALL.get(name, {}) | {"q": q})
    assert ("server_logits" in attack.needs) == (q != "client")
    assert list(attack.replay(MemoryView()))[-1][1].images.isfinite().all()


@pytest.mark.parametrize("name", ["pli", "tbi", "ridge"])
@pytest.mark.parametrize("tau", [0, -1, "hot"])
def test_temperature_must_be_positive(name: str, tau: Any) -> None:
    with pytest.raises(UserError, match="tau"):
        create(name, {"tau": tau})


@pytest.mark.parametrize("name", ["pli", "ridge"])
def test_alpha_must_be_positive(name: str) -> None:
    with pytest.raises(UserError, match="alpha"):
        create(name, {"alpha": 0})


def test_selection_prefers_distinct_and_clean() -> None:
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0, 1, 16).expand(3, 16, 16)
    noisy = torch.rand(3, 16, 16, generator=generator)
    images = torch.stack([ramp, ramp * 0.98, ramp.flip(-1)])[:, None]
    assert select(images, torch.tensor([0]), beta=0.1).chosen.tolist() == [2]
    images = torch.stack([ramp, ramp.flip(-1), noisy])[:, None]
    assert select(images, torch.tensor([0]), beta=100.0).chosen.tolist() != [2]


def test_what_is_no_number_is_never_chosen() -> None:
    images = torch.rand(3, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images[0] = torch.nan
    scores = select(images[:1], torch.tensor([0]), beta=0.1).scores
    assert scores.tolist() == [[torch.inf]]
    assert select(images, torch.tensor([0]), beta=0.1).chosen.tolist() != [0]
