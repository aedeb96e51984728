"""One client of a deployed federation: its own folder, its own model, and its answer to one message at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from logitleak.defenses.draws import System
from logitleak.deploy.config import DeployConfig
from logitleak.deploy.folders import check_facts, fingerprint, read_facts, read_private, read_public
from logitleak.deploy.sums.make import party_of
from logitleak.deploy.sums.means import write_mean
from logitleak.deploy.sums.steps import FAULT
from logitleak.deploy.told import OtherPublicSet
from logitleak.errors import UserError
from logitleak.files.model_state import under
from logitleak.schemes.base import ClientContext
from logitleak.stages.banks import bank_of, scheme_of
from logitleak.stages.folder import choose_device
from logitleak.stages.shields import insides_of, shields_of
from logitleak.stages.trainers import check_trained, trainers_of
from logitleak.types import Payload

_TRAINER, _SUM = "trainer/", "sum/"


class Client:
    """A bank of one model, named by the client's number: it equals that member of a simulation's bank.

    Args:
        config: what everybody is told.
        folder: this client's data.
        number: which client this is, from 0.

    Raises:
        UserError: the folder is missing, damaged, or another client's.
    """

    def __init__(self, config: DeployConfig, folder: Path, number: int) -> None:
        facts, self.public = read_facts(folder), read_public(folder)
        check_facts(folder, facts, config.federation)
        if facts.client != number:
            owner = "the server" if facts.client is None else f"client {facts.client}"
            raise UserError(
                f"{folder} holds the data of {owner}, and this is client {number}; name its own folder."
            )
        self.scheme = scheme_of(config.federation)
        self.data = read_private(folder, facts)
        self.number, self._folder = number, folder
        f, device = config.federation, choose_device(config.device)
        self.bank = bank_of(
            f, f.model_of(number), [number], self.public.image_size, facts.num_classes, config.seed, device
        )
        insides = insides_of(config, self.scheme, {number: self.data}, self.public, facts.num_classes, device)
        self._beside = {f"{company.name}/": one.bank for company, one in insides.get(number, {}).items()}
        shields = shields_of(config.defenses, self.scheme, [number], lambda *names: System(), insides)
        self.shield = shields.get(number)
        check_trained(config.defenses, f, self.scheme, [number], self.public.image_size, facts.num_classes)
        self.trainers = trainers_of(config.defenses, f, self.scheme, [number], lambda *names: System())
        self.party = party_of(f, self.scheme, number)
        self._form = partial(self.scheme.form, public=len(self.public), num_classes=facts.num_classes)

    def check_public(self, wanted: str) -> None:
        """Raise `OtherPublicSet` unless the public set has this `fingerprint`: outputs on other images, or in
        another order, would be taken for outputs on the server's."""
        if fingerprint(self.public) != wanted:
            raise OtherPublicSet("this public set is not the server's; the same file is needed everywhere")

    def answer(
        self, action: str, round: int, message: Payload, state: Mapping[str, Tensor]
    ) -> tuple[Payload, dict[str, Tensor]]:
        """Do one action of the scheme, or a step of a sum. Whatever leaves a client is the first of what this returns.

        Args:
            action: a name of the scheme's actions, or of the steps of its `Party`.
            round: the round, 0 before the first.
            message: what the server sent.
            state: the model as it was after the last action; empty before the first.

        Returns:
            the answer, and the model, or models, to keep for the next message.

        Raises:
            UserError: the scheme has no such action.
            Told: the sum allows no such step.
        """
        if self.party is not None:
            self.party.kept = under(state, _SUM)
            if action in self.party.steps:
                payload = self.party.steps[action](round, message)
                return payload, {**state, **self._sum_state()}
            message = self._opened(action, round, message)
        if action not in self.scheme.actions:
            raise UserError(f'This scheme has no action "{action}".')
        model = {name: value for name, value in state.items() if not name.startswith(_SUM)}
        if model:
            self._load_state(model)
        context = ClientContext(self.public, round, [self.number], trainers=self.trainers)
        (payload,) = self.scheme.actions[action](self.bank, [self.data], message, context)
        if self.shield is not None:
            payload = self.shield.guard(action, round, message, payload)
        return self._sealed(action, round, message, payload), self._state()

    def _opened(self, action: str, round: int, message: Payload) -> Payload:
        """A message with the mean in it that the server does not have. It is written down in the client's own folder,
        since nobody else could."""
        assert self.party is not None
        name, opened = self.party.opened(round, message)
        if name:
            write_mean(self._folder, self.party.federation, round, action, opened.tensors[name])
        return opened

    def _sealed(self, action: str, round: int, message: Payload, payload: Payload) -> Payload:
        """An answer as it leaves: an upload that goes into a sum is sealed, if it is what a server would take."""
        if self.party is None or not payload.tensors:
            return payload
        fault = self._form(action, message).fault(payload)
        if fault is not None:
            return Payload({}, {FAULT: fault})
        (values,) = payload.tensors.values()
        return self.party.seal(round, values)

    def _sum_state(self) -> dict[str, Tensor]:
        kept = self.party.kept if self.party is not None else {}
        return {_SUM + name: value for name, value in kept.items()}

    def _state(self) -> dict[str, Tensor]:
        """Of the client's model, those beside it, what its training defenses keep, and its keys."""
        table = {**self.bank.state(), **self._sum_state()}
        for prefix, bank in self._beside.items():
            table |= {prefix + name: value for name, value in bank.state().items()}
        for trainer in self.trainers.values():
            table |= {_TRAINER + name: value for name, value in trainer.state().items()}
        return table

    def _load_state(self, table: Mapping[str, Tensor]) -> None:
        self.bank.load_state(table)
        for trainer in self.trainers.values():
            trainer.load_state(under(table, _TRAINER))
        for prefix, bank in self._beside.items():
            bank.load_state(under(table, prefix))
