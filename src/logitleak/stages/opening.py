"""Opening a run folder: a new one, or one of the same configuration; nothing is lost by a slip."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from logitleak import __version__
from logitleak.config import Config
from logitleak.config.recorded import RunConfig, load_run
from logitleak.errors import UserError
from logitleak.files.atomic import clean
from logitleak.files.lock import LOCK, alone
from logitleak.files.storage import write_text
from logitleak.progress import Progress, Quiet
from logitleak.stages.folder import RunFolder
from logitleak.stages.makers import half_made, made_elsewhere, makers

_OURS = {
    "config.yaml", "log.txt", "wire", "worlds", "sealed", "checkpoint", "memo", "lab", "attacks", "priors", "audit",
    "audit.json", "audit.html", "metrics.json", "timings.json", "gallery.safetensors", "report.html", "figures",
    "grids", LOCK,
}  # fmt: skip
"""What a run folder has besides run.json."""


def open_run(
    path: Path, config: RunConfig, overwrite: bool = False, progress: Progress | None = None
) -> RunFolder:
    """Create a run folder, or go on with one of the same configuration. Whoever calls this is `alone` in it.

    Attacks may be added to a finished federation. A changed federation, or a changed attack that has results under its
    name, is refused, so that nothing is lost by a slip. An attack that failed is replaced by one of the same name, and
    forgotten where the configuration has it no more. What another version of the tool has finished is kept, and said;
    what it has begun is not gone on with.

    Args:
        path: the folder.
        config: the run's, or its transcript's.
        overwrite: replace what is of another configuration or version.
        progress: where it is said.

    Raises:
        UserError: the folder belongs to another configuration, or cannot be written.
    """
    run, progress = RunFolder(path), progress or Quiet()
    if path.exists() and not (path / "run.json").exists() and any(e.name != LOCK for e in path.iterdir()):
        if not _left_over(path):
            raise UserError(f"{path} is not empty and no run folder; choose another --out.")
        if not overwrite:
            raise UserError(
                f"{path} holds what a killed command left of a run; choose another --out, or give --overwrite."
            )
        _empty(path)
    status = run.status()
    begun = any(world.checkpoint.exists() for world in run.worlds) or any(run.sealed.glob("training*.json"))
    if not (status.get("federated") or status.get("deployed") or begun):
        status = {}  # nothing was computed yet, so nothing can be lost
    conflict = _conflict(run, status, config)
    if conflict is not None and not overwrite:
        raise UserError(f"{path} holds {conflict} choose another --out, or give --overwrite.")
    elsewhere = made_elsewhere(run, status, run.config()) if status else None
    again = overwrite and elsewhere is not None and not status.get("deployed")
    if elsewhere is not None and conflict is None and not again:
        progress.note(f"Kept, and not computed anew: {elsewhere}; this is version {__version__}.")
    if conflict is not None or again:
        _empty(path)
        status = {}
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise UserError(f"{path} cannot be written; choose another --out.")
    clean(path)
    known = {name: e for name, e in run.config().attacks.items() if _stays(run, name)} if status else {}
    merged = config.model_copy(update={"attacks": known | config.attacks})
    hashes = {name: merged.attack_hash(name) for name in merged.attacks}
    for name, hash in status.get("attacks", {}).items():
        if hashes.get(name) != hash:  # it has no results, and must not go on with what another left
            _forget(run, name)
    if (
        not status
    ):  # first, so that whatever a killed command leaves here is a run folder that can be gone on with
        run.update(federation=config.federation_hash())
    write_text(path / "config.yaml", merged.to_yaml())
    failed = {name: reason for name, reason in run.failed().items() if name in hashes} if status else {}
    run.update(
        federation=config.federation_hash(),
        attacks=hashes,
        primary=_primary(run, status, merged),
        failed=failed,
        made_by=makers(run, status, merged),
    )
    return run


def _left_over(path: Path) -> bool:
    """Whether a folder without run.json is what is left of a run that was being removed: it holds the configuration as
    this tool writes it, and nothing that a run has not."""
    file = path / "config.yaml"
    if not file.is_file() or any(e.name not in _OURS and e.suffix != ".partial" for e in path.iterdir()):
        return False
    try:
        return load_run(file).to_yaml() == file.read_text(encoding="utf-8")
    except (UserError, OSError, ValueError):
        return False


def _empty(path: Path) -> None:
    """Remove what is in a run folder. run.json goes first, so that half a run is never taken for a whole one, and
    config.yaml last, by which a later command knows what the rest is of (see `_left_over`)."""
    (path / "run.json").unlink(missing_ok=True)
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name not in (LOCK, "config.yaml"):
            entry.unlink()
    (path / "config.yaml").unlink(missing_ok=True)


def _conflict(run: RunFolder, status: dict[str, Any], config: RunConfig) -> str | None:
    """What a folder holds that is not of this configuration, as the start of a sentence; None if nothing."""
    if status and status.get("federation") != config.federation_hash():
        return "a run with another seed, data or federation;"
    for name in config.attacks:
        same = status.get("attacks", {}).get(name, config.attack_hash(name)) == config.attack_hash(name)
        if not same and run.has_results(name):
            return f'an attack "{name}" with other settings; give this one another name,'
    named = status.get("primary")
    if config.primary not in (None, named) and any(world.attacks() for world in run.worlds):
        return f'results, and their verdict rests on "{named}", which was named before there were any;'
    return half_made(run, status, config) if status else None


def _stays(run: RunFolder, name: str) -> bool:
    """Whether an attack of an earlier command is still one of the run's."""
    return name not in run.failed() or run.has_results(name)


def _forget(run: RunFolder, name: str) -> None:
    """Remove what an attack without results left in any world."""
    for world in run.worlds:
        shutil.rmtree(world.attack(name), ignore_errors=True)
    run.update(failed={other: reason for other, reason in run.failed().items() if other != name})


def _primary(run: RunFolder, status: dict[str, Any], config: RunConfig) -> str | None:
    """The attack that the verdict rests on. Once there are results it stays, whatever becomes of it: it was named
    before anybody looked at the truth."""
    named: str | None = status.get("primary")
    if named in config.attacks or any(world.attacks() for world in run.worlds):
        return named or config.headline
    return config.headline


@contextmanager
def finished(path: Path | str) -> Iterator[tuple[RunFolder, RunConfig]]:
    """A run whose worlds are all there, with its configuration, for nobody else meanwhile.

    Raises:
        UserError: this is no run folder, its worlds are not finished, or somebody is at work in it.
    """
    folder = RunFolder(Path(path))
    folder.config()  # a folder that is none is not locked
    with alone(folder.path):
        config = folder.config()
        if isinstance(config, Config):
            folder.refuse_unfinished(config.game.simulations)
        yield folder, config
