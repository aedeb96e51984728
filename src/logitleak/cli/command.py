"""The command line. A user's mistake is one line on standard error and exit code 2, never a traceback."""

from __future__ import annotations

import difflib
import errno
import inspect
import io
import itertools
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from typing import Any

import tyro

from logitleak.cli import audit as cli_audit
from logitleak.cli import capture as cli_capture
from logitleak.cli import data as cli_data
from logitleak.cli import defend as cli_defend
from logitleak.cli import deploy as cli_deploy
from logitleak.cli import init as cli_init
from logitleak.cli import ls as cli_ls
from logitleak.cli import metrics as cli_metrics
from logitleak.cli import run as cli_run
from logitleak.cli.results import Refused
from logitleak.errors import UserError
from logitleak.machine import allocator
from logitleak.machine.memory import is_out_of_memory
from logitleak.text import printable

_DATA: dict[str, Callable[..., Any]] = {
    "synth": cli_data.data_synth,
    "prepare": cli_data.data_prepare,
    "show": cli_data.data_show,
}


def data() -> None:
    """Render synthetic people, prepare a data set, or look at one: data synth, data prepare, data show."""
    main(["data", "--help"])


_DEPLOY: dict[str, Callable[..., Any]] = {
    "init": cli_deploy.deploy_init,
    "split": cli_deploy.deploy_split,
    "keys": cli_deploy.deploy_keys,
    "open": cli_deploy.deploy_open,
}


def deploy() -> None:
    """Make a federation of real processes over Flower: deploy init, split, keys, open."""
    main(["deploy", "--help"])


_GROUPS = {"data": _DATA, "deploy": _DEPLOY}

_COMMANDS: dict[str, Callable[..., Any]] = {
    "init": cli_init.init,
    "run": cli_run.run,
    "attack": cli_run.attack,
    "audit": cli_audit.audit,
    "defend": cli_defend.defend,
    "sweep": cli_run.sweep,
    "report": cli_run.report,
    "import": cli_capture.import_,
    "export": cli_capture.export,
    "export-metrics": cli_metrics.export_metrics,
    "data": data,
    "deploy": deploy,
    "ls": cli_ls.ls,
    "validate": cli_capture.validate,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``logitleak``.

    With ``--json`` standard output gets one JSON object and nothing else, also where the command fails; whatever else
    is printed goes to standard error.
    """
    allocator.own_process()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name need not be UTF-8, and is printed all the same; standard error is like this by default.
        sys.stdout.reconfigure(errors="backslashreplace")
    commands, prog = _COMMANDS, "logitleak"
    if len(arguments) > 1 and arguments[0] in _GROUPS:
        commands, prog, arguments = _GROUPS[arguments[0]], f"logitleak {arguments[0]}", arguments[1:]
    try:
        if arguments[:1] == ["--version"]:
            from logitleak import __version__

            print(__version__)
            return
        if arguments and arguments[0].startswith("--tyro-"):
            from logitleak.cli import shells

            if shells.answer(arguments, _COMMANDS, _GROUPS):
                return
        _refuse_settings_as_options(commands, arguments)
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            found = tyro.extras.subcommand_cli_from_dict(
                commands,
                prog=prog,
                description="Shows what federated distillation gives away.",
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
            )
        if as_json:
            print(json.dumps(found, allow_nan=False))
        sys.stdout.flush()  # here, where somebody listens to what goes wrong
    except UserError as error:
        refused = error if isinstance(error, Refused) else Refused(str(error), {})
        _fail(str(error), as_json, refused.found, refused.code)
    except BrokenPipeError:  # whoever read our output has seen enough, as with `| head`
        # what is left in the buffer must not be tried again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # what a shell says of a process that SIGPIPE ended
    except OSError as error:
        _fail(_explain(error), as_json)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _fail("There is not enough memory; lower the batch size, the width or the number of images.", as_json)
    except KeyboardInterrupt:
        message = "Interrupted; the same command goes on from here."
        print(message, file=sys.stderr)
        if as_json:
            print(json.dumps({"error": message}))
        sys.exit(130)
    except SystemExit as end:  # the argument parser has said what is wrong
        if as_json and end.code == 2:
            print(json.dumps({"error": "The arguments are not valid; standard error says why."}))
        raise


def _refuse_settings_as_options(commands: dict[str, Callable[..., Any]], arguments: Sequence[str]) -> None:
    """Raise a `UserError` for an option that is a setting, such as ``--tau 3``, which says how it is given."""
    command = commands.get(arguments[0]) if arguments else None
    takes = inspect.signature(command).parameters if command is not None else {}
    if not {"overrides", "settings"} & set(takes):
        return
    known = {"help", "set", "prior_set", *takes}
    for place, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        name = option.removeprefix("--").replace("-", "_")
        if not option.startswith("--") or name in known or difflib.get_close_matches(name, known, cutoff=0.8):
            continue  # the parser knows it, or knows better what is meant
        given = value if equals else next(iter(arguments[place + 1 :]), "")
        value = given if given and not given.startswith("--") else "VALUE"
        if "settings" in takes:
            how = _setting_of_attack(name, arguments)
        else:
            from logitleak.config.overrides import places_of

            how = next((f"--set {path}" for path in places_of(name.split("."))), None)
        if how is not None:
            raise UserError(f"There is no option {option}; settings are given as {how}={value}")


def _setting_of_attack(name: str, arguments: Sequence[str]) -> str | None:
    """How a setting of the attack, or of its prior, is given to `logitleak attack`; None where neither has it."""
    from logitleak import registry

    given = dict(itertools.pairwise(arguments))
    for kind, default, option in (("attack", "ridge", "--set"), ("prior", "mean", "--prior-set")):
        if name in registry.setting_names(kind, given.get(f"--{kind}", default)):
            return f"{option} {name}"
    return None


def _explain(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"The disk is full{where}; free some space and give the same command again."
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"No permission to write or read{where}; choose another folder."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"There is a file where a folder is wanted{where}; choose another path."
    return f"{error.strerror or error}{where}."


def _fail(message: str, as_json: bool, found: dict[str, Any] | None = None, code: int = 2) -> None:
    print(f"logitleak: {printable(message, 2000)}", file=sys.stderr)
    if as_json:
        print(json.dumps({**(found or {}), "error": message}, allow_nan=False))
    sys.exit(code)


if __name__ == "__main__":
    main()
