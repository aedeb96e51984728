"""Scripts that complete command lines in bash, zsh and fish. They hold all words: no TAB starts a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote

from logitleak.cli.completion import Commands, Completed, Value, places
from logitleak.errors import UserError
from logitleak.files.atomic import write_atomic

Places = Mapping[str, Completed]
"""Every command by its words, see `places`."""

Listed = Callable[[Mapping[str, str]], str]
"""How a shell lists words, by their descriptions."""

_NEXT = """\
# Sets found to what stands at a place: ? for anything, and + before what may stand there several times.
_logitleak_takes() {
  found=""
  case "$1" in
@TABLE@
  esac
}

# The word that is begun, and those before it: sets found to what it may become.
_logitleak_next() {
  local place="" option="" number=1 word current="$1"
  shift
  for word in "$@"; do
    case "$word" in
      =) ;;
      -*=*) option="" ;;
      -*)
        _logitleak_takes "$place $word"
        option="${found:+$word}" ;;
      *)
        if [[ -n "$option" ]]; then
          _logitleak_takes "$place $option"
          [[ "$found" == +* ]] || option=""
        else
          case "$place" in
            @GROUPS@) place="${place:+$place }$word" ;;
            *) number=$((number + 1)) ;;
          esac
        fi ;;
    esac
  done
  found=""
  [[ "$current" == -* ]] || _logitleak_takes "$place ${option:-$number}"
  [[ -n "$found" ]] || _logitleak_takes "$place -"
  found="${found#+}"
}
"""

_BASH = """
_logitleak() {
  local found current="${COMP_WORDS[COMP_CWORD]}"
  [[ "$current" != "=" ]] || current=""
  _logitleak_next "$current" "${COMP_WORDS[@]:1:COMP_CWORD-1}"
  COMPREPLY=()
  [[ "$found" == "?" ]] || COMPREPLY=($(compgen -W "$found" -- "$current"))
}

complete -o default -F _logitleak logitleak
"""

_ZSH = """
_logitleak() {
  local found current="${words[CURRENT]}"
  local -a before listed
  before=("${(@)words[2,CURRENT-1]}")
  if [[ "$current" == --*=* ]]; then
    before+=("${current%%=*}")
    compset -P "*="
    current="${current#*=}"
  fi
  _logitleak_next "$current" "${before[@]}"
  if [[ "$found" == "?" ]]; then
    _files
  else
    listed=("${(@f)found}")
    _describe logitleak listed
  fi
}

if [[ "$funcstack[1]" == _logitleak ]]; then
  _logitleak "$@"
else
  compdef _logitleak logitleak
fi
"""

_FISH = """\
# Whether the words so far are these alone, or begin with these.
function __logitleak_is
    set -l words (commandline -opc)
    test "$words[2..-1]" = "$argv"
end
function __logitleak_at
    set -l words (commandline -opc)
    string match -q -- "$argv *" "$words[2..-1] "
end
"""


def bash(known: Places) -> str:
    """The script for bash."""
    return _next(known, " ".join) + _BASH


def zsh(known: Places) -> str:
    """The script for zsh, also as a file of its ``fpath``."""
    return "#compdef logitleak\n\n" + _next(known, _described) + _ZSH


def fish(known: Places) -> str:
    """The script for fish."""
    lines = []
    for place, command in known.items():
        *group, name = place.split()
        here = quote(" ".join(["__logitleak_is", *group]))
        lines.append(f"complete -c logitleak -n {here} -f -a {name} -d {quote(command.summary)}")
        at = quote(f"__logitleak_at {place}")
        for option, value in command.options.items():
            takes = ""
            if value is not None:
                takes = f" -x -a {quote(' '.join(value.words))}" if value.words else " -r -F"
            told = f" -d {quote(command.told[option])}" if command.told.get(option) else ""
            name = option.removeprefix("--")
            lines.append(f"complete -c logitleak -n {at} -l {name}{takes}{told}")
            if (
                value is not None and value.several and value.words
            ):  # fish takes no more than one to be the option's
                after = quote(f"__logitleak_at {place}; and contains -- {option} (commandline -opc)")
                lines.append(f"complete -c logitleak -n {after} -f -a {quote(' '.join(value.words))}")
        words = [word for value in command.positional for word in value.words]
        if words and not _is_group(place, known):
            lines.append(f"complete -c logitleak -n {at} -f -a {quote(' '.join(words))}")
    return _FISH + "\n".join(lines) + "\n"


SHELLS: dict[str, Callable[[Places], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""What writes each shell's script."""


def answer(arguments: Sequence[str], commands: Commands, groups: Mapping[str, Commands]) -> bool:
    """Print a shell's script, or write it into a file, where these arguments ask for one.

    Returns:
        whether they did.

    Raises:
        UserError: there is no script for this shell.
    """
    if arguments[0].endswith("-completion") and len(arguments) > 1 and arguments[1] not in SHELLS:
        raise UserError(f"There is no completion for {arguments[1]}. There is: {', '.join(SHELLS)}.")
    match arguments:
        case ["--tyro-print-completion", shell] | ["--tyro-write-completion", shell, "-"] if shell in SHELLS:
            print(SHELLS[shell](places(commands, groups)), end="")
        case ["--tyro-write-completion", shell, file] if shell in SHELLS:
            script = SHELLS[shell](places(commands, groups))

            def write(target: Path) -> None:
                target.write_text(script, encoding="utf-8")

            write_atomic(Path(file), write)
        case _:
            return False
    return True


def _next(known: Places, listed: Listed) -> str:
    """What bash and zsh have in common, with words as the shell lists them."""
    groups = ['""', *(place for place in known if _is_group(place, known))]
    table = "\n".join(f"    {quote(at)}) found={quote(found)} ;;" for at, found in _table(known, listed))
    return _NEXT.replace("@TABLE@", table).replace("@GROUPS@", "|".join(groups))


def _table(known: Places, listed: Listed) -> Iterator[tuple[str, str]]:
    """What stands at each place: after an option, as a numbered argument, and the options themselves under a dash."""
    top = {place: command.summary for place, command in known.items() if " " not in place}
    yield " 1", listed(top)
    yield " -", listed({"--help": "", "--version": ""})
    for place, command in known.items():
        inner = {name: known[f"{place} {name}"].summary for name in _inner(place, known)}
        for number, value in enumerate(command.positional, 1):
            yield f"{place} {number}", _of(value, listed, inner)
        for option, taken in command.options.items():
            if taken is not None:
                yield f"{place} {option}", _of(taken, listed, {})
        yield f"{place} -", listed({option: command.told.get(option, "") for option in command.options})


def _of(value: Value, listed: Listed, told: Mapping[str, str]) -> str:
    words = listed({word: told.get(word, "") for word in value.words}) if value.words else "?"
    return f"+{words}" if value.several else words


def _described(words: Mapping[str, str]) -> str:
    """Words and their descriptions, as zsh lists them."""
    return "\n".join(f"{word}:{told}" if told else word for word, told in words.items())


def _is_group(place: str, known: Places) -> bool:
    return bool(_inner(place, known))


def _inner(place: str, known: Places) -> list[str]:
    return [other.removeprefix(f"{place} ") for other in known if other.startswith(f"{place} ")]
