"""PLI and TBI against a slow, literal transcription of the paper."""

from typing import Any

import pytest
import torch
from library_network import library_network
from memory import MemoryView
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

from logitleak.attacks import networks
from logitleak.attacks.base import create
from logitleak.attacks.examples import PriorPull
from logitleak.attacks.pli import PLI
from logitleak.errors import UserError
from logitleak.seeds import derive

SETTINGS: dict[str, Any] = {"width": 16, "batch": 4, "epochs": 2, "lr": 1e-3, "tau": 3.0}


class LiteralNetwork(nn.Module):
    """The inversion network with a transposed convolution from a 1×1 map, as the paper's code has it."""

    def __init__(self, like: networks.InversionNetwork) -> None:
        super().__init__()
        self.layers = library_network(like)

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.layers(z[:, :, None, None])
        return out


def softmax(logits: Tensor, tau: float) -> Tensor:
    powers = torch.exp((logits - logits.max()) / tau)
    return powers / powers.sum()


def literal_pli(
    view: MemoryView, gamma: float, alpha: float, prior_step: str, seed: int
) -> tuple[Tensor, list[int]]:
    """Algorithm 1, one image at a time where it can be."""
    tau, classes, public = 3.0, view.classes, view.knowledge.public
    d0 = [i for i in range(len(public)) if bool(public.sensitive[i])]
    x = torch.stack([public.images[i].float() / 255 * 2 - 1 for i in d0])
    prior = torch.stack([public.images[i].double() / 255 for i in d0]).mean(0).float() * 2 - 1
    targets = view.knowledge.target_labels.tolist()
    e = torch.tensor(1 / alpha).exp()
    inputs_hat = []
    for j in targets:
        server = torch.full((classes,), float(1 / (classes - 1 + e)))
        server[j] = e / (classes - 1 + e)
        client = torch.zeros(classes)
        client[j] = 1
        inputs_hat.append(torch.cat([server, client]))
    z_hat = torch.stack(inputs_hat)

    per_client = []
    for k in range(view.clients):
        start = networks.build(2 * classes, view.side, 16, derive(seed, "inversion", "PLI", "init", k))
        network = LiteralNetwork(start)
        adam = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-4, foreach=False, fused=False)
        for round in range(1, view.rounds + 1):
            pairs = [
                torch.cat(
                    [softmax(view.logits[-1, round - 1, i], tau), softmax(view.logits[k, round - 1, i], tau)]
                )
                for i in d0
            ]
            z = torch.stack(pairs)
            network.train()
            generator = derive(seed, "inversion", "PLI", "order", k, round)
            for _ in range(2):
                for rows in torch.randperm(len(d0), generator=generator).split(4):
                    made = network(z[rows])
                    loss = ((made - x[rows]) ** 2).mean() + gamma * ((made - prior) ** 2).mean()
                    adam.zero_grad()
                    loss.backward()
                    adam.step()
                if prior_step == "each-epoch" and gamma > 0:
                    loss = gamma * ((network(z_hat) - prior) ** 2).mean()
                    adam.zero_grad()
                    loss.backward()
                    adam.step()
            if prior_step == "end" and gamma > 0:
                network.eval()
                for _ in range(2):
                    loss = gamma * ((network(z_hat) - prior) ** 2).mean()
                    adam.zero_grad()
                    loss.backward()
                    adam.step()
        network.eval()
        with torch.no_grad():
            per_client.append(((network(z_hat) + 1) / 2).clamp(0, 1))
    images = torch.stack(per_client)

    chosen = []
    for t in range(len(targets)):
        scores = []
        for k in range(view.clients):
            mine = images[k, t]
            others = [m for m in range(view.clients) if m != k]
            similar = [
                structural_similarity_index_measure(mine[None], images[m, t][None], data_range=1.0)
                for m in others
            ]
            tv = (mine[:, :, 1:] - mine[:, :, :-1]).abs().mean() + (mine[:, 1:] - mine[:, :-1]).abs().mean()
            scores.append(float(sum(similar)) / max(1, len(others)) + 0.1 * float(tv))  # type: ignore[arg-type]
        chosen.append(scores.index(min(scores)))
    return images, chosen


@pytest.mark.parametrize(
    ("gamma", "prior_step", "clients"),
    [(0.0, "each-epoch", 1), (0.5, "each-epoch", 3), (0.5, "end", 2)],
)
def test_pli_is_the_papers(gamma: float, prior_step: str, clients: int) -> None:
    view = MemoryView(clients=clients)
    pli = create("pli", SETTINGS | {"gamma": gamma, "prior_step": prior_step, "alpha": 2.0}, seed=5)
    result = list(pli.replay(view))[-1][1]
    images, chosen = literal_pli(view, gamma, 2.0, prior_step, seed=5)
    torch.testing.assert_close(result.images, images, rtol=0, atol=2e-4)
    assert result.chosen.tolist() == chosen


def test_the_prior_pulls() -> None:
    """With a heavy prior the reconstructions move toward it."""
    view = MemoryView(clients=1)
    prior = view.knowledge.public.images[view.knowledge.public.sensitive].float().mean(0) / 255
    distance = []
    for gamma in (0.0, 50.0):
        pli = create("pli", SETTINGS | {"gamma": gamma, "epochs": 20})
        images = list(pli.replay(view))[-1][1].images
        distance.append(float((images - prior).square().mean()))
    assert distance[1] < distance[0]


def test_steps_replace_epochs() -> None:
    view = MemoryView(clients=1, rounds=1)
    pli = create("pli", SETTINGS | {"steps": 7})
    steps: list[int] = []
    pli.listener = lambda round, client, step, loss: steps.append(step)
    list(pli.replay(view))
    assert steps == list(range(1, 8)) == list(range(1, pli.steps_planned(view) + 1))


def test_a_last_batch_of_one_is_left_out() -> None:
    view = MemoryView(clients=1, rounds=1, rows=torch.arange(9))
    pli = create("pli", SETTINGS)
    steps: list[int] = []
    pli.listener = lambda round, client, step, loss: steps.append(step)
    list(pli.replay(view))
    assert max(steps) == 2 * 2  # nine images in batches of four: 4 + 4, twice


@pytest.mark.parametrize("targets", [1, 64, 65, 130])
def test_every_target_is_pulled_to_its_prior(targets: int) -> None:
    """Groups of at most 64, none with a single target unless there is only one."""
    view = MemoryView(clients=1, rounds=1)
    pli = create("pli", SETTINGS | {"gamma": 1.0})
    list(pli.replay(view))
    assert isinstance(pli, PLI)
    network = pli.networks[0].train()
    seen: list[int] = []
    network.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    pull = PriorPull(torch.rand(targets, 2 * view.classes), torch.zeros(targets, 3, 16, 16))
    pli._pull_to_prior(network, pli.optimizers[0], pull)
    assert sum(seen) == targets
    assert max(seen) <= 64
    assert min(seen) > 1 or targets == 1
    assert network.training


def test_tbi_trains_on_everything_and_asks_every_client() -> None:
    view = MemoryView(clients=2)
    tbi = create("tbi", SETTINGS)
    result = list(tbi.replay(view))[-1][1]
    assert tbi.steps_planned(view) == 2 * 2 * ((len(view.knowledge.public) + 3) // 4)
    assert not torch.equal(result.images[0], result.images[1])
    only_d0 = create("tbi", SETTINGS | {"train_on": "sensitive"})
    assert only_d0.steps_planned(view) < tbi.steps_planned(view)


def test_tbi_never_looks_at_the_server() -> None:
    view, other = MemoryView(), MemoryView()
    other.logits[-1] += 3 * torch.randn_like(other.logits[-1])
    first = list(create("tbi", SETTINGS).replay(view))[-1][1]
    second = list(create("tbi", SETTINGS).replay(other))[-1][1]
    assert torch.equal(first.images, second.images)


def test_image_sizes_that_networks_cannot_make() -> None:
    with pytest.raises(UserError, match="side 16, 20, 24, .*, 112, 128, not 36x36"):
        list(create("pli", SETTINGS).replay(MemoryView(side=36)))


def test_batch_larger_than_the_public_set() -> None:
    with pytest.raises(UserError, match="smaller batch"):
        list(create("pli", SETTINGS | {"batch": 64}).replay(MemoryView()))
