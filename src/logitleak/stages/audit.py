"""The audit of a run: every question, for everybody who may look, with the truth where somebody has it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from logitleak import registry, report
from logitleak.audits.base import Asked, Audit, create
from logitleak.config import Config
from logitleak.config.recorded import RecordedConfig, RunConfig
from logitleak.errors import UserError
from logitleak.files.storage import write_json
from logitleak.formats import AuditFile
from logitleak.progress import Progress, Quiet
from logitleak.sealed.game import held_images
from logitleak.seeds import derive_int
from logitleak.stages.aggregation import aggregation_of
from logitleak.stages.audit_beside import calibrated, choices, estimate, told, unanswered, uncalibrated
from logitleak.stages.audit_scores import write_scores
from logitleak.stages.audit_truth import Scored, judge, truth_of
from logitleak.stages.candidates import USUAL, draw_candidates, read_replies, told_apart
from logitleak.stages.evaluate import describe_game, versions
from logitleak.stages.folder import RunFolder, choose_device
from logitleak.stages.knowing import as_read
from logitleak.stages.lab import MockTwins, mock_twins
from logitleak.stages.opening import finished
from logitleak.stages.seen import ONLOOKERS, onlookers_of
from logitleak.stages.students import train_students
from logitleak.stages.threat import threat_model
from logitleak.stages.worlds import attack_seed
from logitleak.types import MODEL_KINDS
from logitleak.wire.transcript import Transcript

FORMAT = 1

_EVERYBODY = next(iter(ONLOOKERS))


@dataclass(frozen=True)
class AuditResult:
    """What an audit left: every number, and the page."""

    path: Path
    found: Mapping[str, Any]
    report: Path


def audit(
    path: Path | str, *, fast: bool = False, device: str = "auto", progress: Progress | None = None
) -> AuditResult:
    """Ask every registered audit of a run, a recorded federation or an imported capture; write ``audit.json``, the raw
    scores and the page.

    Args:
        path: the run folder. Without its sealed folder scores are written and nothing is judged.
        fast: train nothing: no students, and no federation of the server's own.
        device: where models are trained.
        progress: where it reports to.

    Raises:
        UserError: this is no run folder, its worlds are not finished, or its clients send models.
    """
    progress = progress or Quiet()
    with finished(path) as (folder, config):
        battery = _Battery(folder, config, fast, device, progress)
        found = battery.run()
        write_scores(folder.audit, battery.scored)
        write_json(folder.path / "audit.json", AuditFile.checked(found))
        progress.stage("report", 1)
        page = report.build_audit(folder.path)
    return AuditResult(folder.path, found, page)


class _Battery:
    """All audits of one run."""

    def __init__(
        self, folder: RunFolder, config: RunConfig, fast: bool, device: str, progress: Progress
    ) -> None:
        self.folder, self.config, self.fast, self.progress = folder, config, fast, progress
        self.device = choose_device(device)
        self.views = [Transcript(world.path) for world in folder.worlds]
        if self.views[0].upload_kind in MODEL_KINDS:
            raise UserError(
                "This federation shares models, not outputs on a public set; what these give away is `logitleak "
                "attack RUN --attack gradients`."
            )
        self.onlookers = onlookers_of(self.views[0])
        self.seed = derive_int(attack_seed(config.seed), "audit")
        self.truth = truth_of(folder, self.views[0])
        self.scored: list[Scored] = []

    def _held(self) -> dict[int, list[int]] | None:
        return held_images(self.truth.truth, self.truth.game) if self.truth else None

    def run(self) -> dict[str, Any]:
        """Everything that ``audit.json`` holds."""
        config, view = self.config, self.views[0]
        twins = self._lab()
        why = uncalibrated(twins, view.knowledge.target_labels)
        lab = twins if isinstance(twins, MockTwins) and why is None else None
        asked = self._asked()
        names = registry.names("audit")
        self.progress.stage("audits", len(names) * len(self.onlookers))
        audits = [self._question(name, asked, lab, twins) for name in names]
        recorded = isinstance(config, RecordedConfig)
        game = self.truth.game if self.truth else None
        one_domain = isinstance(config, Config) and config.data.one_domain
        return {
            "format": FORMAT,
            "title": config.recorded.title if isinstance(config, RecordedConfig) else config.data.source,
            "noun": config.noun,
            "seed": config.seed,
            "config_hash": config.hash(),
            "versions": versions(),
            "threat_model": threat_model(view, recorded, self._held()),
            "truth": self.truth is not None,
            "game": describe_game(game, None, view, one_domain),
            "data": self._data(),
            "fast": self.fast,
            "lab": why,
            "audits": audits,
        }

    def _question(
        self, name: str, asked: Mapping[str, Sequence[Asked]], lab: MockTwins | None, twins: MockTwins | str
    ) -> dict[str, Any]:
        """One audit, for everybody who may look."""
        start = time.perf_counter()
        audit = create(name, seed=self.seed, device=self.device)
        onlookers = list(self.onlookers) if audit.answer == "membership" else [_EVERYBODY]
        views = []
        for who in onlookers:
            found = self._seen(name, audit, who, asked.get(audit.answer, ()), lab)
            self.progress.advance(f"{name}, {who}", steps=1 if len(onlookers) > 1 else len(self.onlookers))
            if found is not None:
                views.append(found)
        return {
            "audit": name,
            "question": audit.question,
            "answer": audit.answer,
            "summary": registry.entries("audit")[name].summary,
            "assumptions": list(audit.assumptions),
            "settings": audit.settings.model_dump(mode="json"),
            "views": views,
            "estimate": estimate(audit, twins),
            "seconds": round(time.perf_counter() - start, 2),
        }

    def _seen(
        self, name: str, audit: Audit, who: str, asked: Sequence[Asked], lab: MockTwins | None
    ) -> dict[str, Any] | None:
        """One audit for one onlooker, in all worlds; None where there is nothing to see."""
        look = self.onlookers[who]
        answers: list[list[tuple[Sequence[int], dict[str, Tensor]]]] = []
        for number, view in enumerate(self.views):
            if audit.needs_candidates and number >= len(asked) > 0:
                break  # candidates are images of the first world alone
            sights = look.sights(view)
            if not sights:
                why = look.nothing(view)
                return unanswered(who, look.sees, why) if why else None
            about = asked[number] if asked else Asked.nothing()
            if lab is not None:
                about = calibrated(about, lab, look, view.knowledge.target_labels)
            try:
                found = [(sight.about, told(sight, audit.ask(sight.view, about))) for sight in sights]
            except UserError as said:  # one that cannot answer stops no other
                return unanswered(who, look.sees, str(said))
            if audit.answer == "membership" and who == _EVERYBODY:
                found[0][1].update(choices(self.folder, number, len(found[0][0]), view.rounds))
            answers.append(found)
        variants = list(answers[0][0][1])
        scored = [
            Scored(name, who, variant, audit.answer, [
                [(about, found[variant]) for about, found in world] for world in answers
            ])
            for variant in variants
        ]  # fmt: skip
        self.scored += scored
        return {
            "onlooker": who,
            "sees": look.sees,
            "refused": None,
            "primary": variants[0],
            "variants": [judge(one, self.truth, scored) for one in scored],
        }

    def _lab(self) -> MockTwins | str:
        """Federations of public people, for calibration; or why there are none."""
        if self.fast:
            return "left out by --fast"
        if not isinstance(self.config, Config):
            return "how the clients of a recorded federation train is not known, so it cannot be played again"
        seed = attack_seed(self.config.seed)  # the same that attacks are tuned on
        return mock_twins(self.views[0].knowledge, self.config, seed, self.folder.lab, self.progress)

    def _asked(self) -> dict[str, list[Asked]]:
        """What audits of images are asked about, by kind of answer, for each world that it is from: candidates that may
        have been used, and held-out images on which models are compared. Empty without the truth."""
        truth, config = self.truth, self.config
        if truth is None:
            return {}
        count = (config.candidates if isinstance(config, Config) else 0) or USUAL
        by_image = truth.game is not None and truth.game.rows is not None
        why = told_apart(config.data, by_image) if isinstance(config, Config) else None
        candidates = None if why else draw_candidates(truth.truth, truth.game, count, config.seed)
        order = torch.empty(0, dtype=torch.int64)
        if candidates is not None:
            order = candidates.order(config.seed)
            truth.members = candidates.members[:, order]
        records, probes = [], []
        for number in range(1 if candidates is None else len(candidates.members)):
            world, view = self.folder.worlds[number], self.views[number]
            about = Asked.nothing(why)
            if candidates is not None:
                replies = read_replies(self.folder.replies(world), view.rounds)
                fits = all(said.shape[1] == len(candidates) for said in replies.values())
                kept = replies if fits else {}  # else they were kept for another number of candidates
                about = Asked(
                    candidates.images[order],
                    candidates.labels[order],
                    self._asked_client(candidates.clients[order]),
                    {round: said[:, order] for round, said in kept.items()},
                )
            held = truth.probes() if number == 0 else Asked.nothing()
            records.append(about)
            probes.append(held)
            if not self.fast and isinstance(config, Config) and len(about) + len(held):
                records[-1], probes[-1] = self._taught(view, config, about, held)
        return {"records": records, "agreement": probes[:1]}

    def _asked_client(self, clients: Tensor) -> Tensor:
        """Whom a candidate is asked about: its client, or, where a mean alone is seen, everybody at once."""
        return clients if self.views[0].clients > 1 else torch.zeros_like(clients)

    def _taught(self, view: Transcript, config: Config, about: Asked, held: Asked) -> tuple[Asked, Asked]:
        """The same questions, with what students of the uploads say of both kinds of images."""
        images = torch.cat([one.images for one in (about, held) if len(one)])
        taught = train_students(
            as_read(view), config.federation, images, self.seed, self.device, self.progress
        )
        cut = len(about)
        parts = []
        for one, part in ((about, slice(0, cut)), (held, slice(cut, None))):
            students = {name: said[:, part] for name, said in taught.by_source.items()}
            rivals = {**one.rivals, **{name: said[:, part] for name, said in taught.rivals.items()}}
            parts.append(replace(one, students=students, rivals=rivals))
        return parts[0], parts[1]

    def _data(self) -> dict[str, Any]:
        knowledge, view = self.views[0].knowledge, self.views[0]
        truth = self.truth
        return {
            "classes": knowledge.num_classes,
            "targets": len(knowledge.target_labels),
            "clients": view.parties,
            "aggregation": aggregation_of(view),
            "rounds": view.rounds,
            "public": len(knowledge.public),
            "names": [truth.truth.names[int(j)] for j in knowledge.target_labels] if truth else None,
            "owners": truth.owners.tolist() if truth else None,
        }
