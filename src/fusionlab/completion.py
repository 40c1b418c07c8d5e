"""print a script that completes commands, options and their values in bash, zsh or fish

    eval "$(python -m fusionlab.completion bash)"      in ~/.bashrc
    eval "$(python -m fusionlab.completion zsh)"       in ~/.zshrc, after compinit
    python -m fusionlab.completion fish | source       in ~/.config/fish/config.fish

Completes after `python -m fusionlab.` and `python -m fusionlab `: commands, then groups and their choices (also after
a comma), options and their defaults, flags. The config's yamls are read, also those of ./conf; hydra is not loaded.
"""

from collections.abc import Sequence
from importlib import import_module

from fusionlab.cli import command_files, flag_names, run, takes_options
from fusionlab.config.catalogue import GRID_WORDS, groups
from fusionlab.config.options import read_options
from fusionlab.errors import UserError, show

FLAGS = {"--words LINE": "print what may stand at the end of this line, one a line; the scripts call this for each key"}

BASH = r"""_fusionlab_complete() {
    local line="${COMP_LINE:0:COMP_POINT}" before
    COMPREPLY=()
    [[ $line == *" -m fusionlab"* ]] || return 0
    mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" -m fusionlab.completion --words "$line" 2>/dev/null)
    before="${line##*[[:space:]]}"
    # Readline replaces what stands behind the last `=` or `:` only.
    case $COMP_WORDBREAKS in *[=:]*) before="${before%"${before##*[=:]}"}" ;; *) before="" ;; esac
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=.] ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _fusionlab_complete python python3"""

ZSH = r"""_fusionlab_complete() {
    local line="${BUFFER[1,CURSOR]}"
    if [[ $line != *" -m fusionlab"* ]]; then
        (( $+functions[_python] )) && _python "$@" || _default
        return
    fi
    local -a replies open
    replies=("${(@f)$("${words[1]}" -m fusionlab.completion --words "$line" 2>/dev/null)}")
    replies=(${replies:#})
    (( $#replies )) || { _default; return }
    open=(${(M)replies:#*[=.]})
    replies=(${replies:#*[=.]})
    compadd -Q -S '' -a open
    compadd -Q -a replies
}
autoload -Uz _python 2>/dev/null
compdef _fusionlab_complete python python3"""

FISH = r"""function __fusionlab_complete
    set -l line (commandline -cp)
    set -l program (commandline -op)[1]
    $program -m fusionlab.completion --words "$line" 2>/dev/null
end
for program in python python3
    complete -c $program -n 'string match -q -- "* -m fusionlab*" (commandline -cp)' -f -a '(__fusionlab_complete)'
end"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def main(arguments: list[str], /, words: str | None = None) -> int:
    """Print a script, or the completions of a line."""
    if words is not None:
        for completion in complete(words):
            show(completion)
        return 0
    if len(arguments) != 1 or arguments[0] not in SCRIPTS:
        got = " ".join(arguments) or "nothing"
        hint = "python -m fusionlab.completion bash"
        raise UserError("completion takes the name of a shell", got=got, allowed=SCRIPTS, hint=hint)
    show(SCRIPTS[arguments[0]])
    return 0


def complete(line: str) -> list[str]:
    """What the last word of a line may be.

    >>> complete("python -m fusionlab.sweep fusion=conv,s")
    ['fusion=conv,sum']
    """
    *before, last = [*line.split(), ""] if not line or line[-1].isspace() else line.split()
    if "-m" not in before:
        return []
    names = [file.stem for file in command_files()]
    module, *typed = before[before.index("-m") + 1 :] or [""]
    if not module:
        return _starting(last, [f"fusionlab.{name}" for name in names])
    if module == "fusionlab":
        if not typed:
            return _starting(last, names)
        module, *typed = (f"fusionlab.{typed[0]}", *typed[1:])
    if module.removeprefix("fusionlab.") not in names:
        return []
    flags = getattr(import_module(module), "FLAGS", {})
    if last.startswith("-"):
        return _starting(last, flag_names(flags))
    if typed and typed[-1] == "--cfg":
        return _starting(last, ["job"])
    if module == "fusionlab.completion":
        return _starting(last, list(SCRIPTS))
    return _options(last, typed) if takes_options(flags) else []


def _options(last: str, typed: Sequence[str]) -> list[str]:
    """Names of groups and options up to their next dot; behind `=` the choices of a group, or the default."""
    known = groups()
    chosen = {name: value for name, _, value in (word.lstrip("+").partition("=") for word in typed)}
    options = read_options({name: value for name, value in chosen.items() if value in known.get(name, ())})
    add, name = last[: len(last) - len(last.lstrip("+"))], last.lstrip("+")
    if "=" not in name:
        names = [*known, *GRID_WORDS, *(path for path, option in options.items() if option.default is not None)]
        return sorted({add + _to_next_dot(path, len(name)) for path in names if path.startswith(name)})
    name, _, value = name.partition("=")
    *taken, _ = value.split(",")
    before = "".join(f"{one}," for one in taken)
    values = known[name] if name in known else _values(options[name].default or "") if name in options else []
    return _starting(last, [f"{add}{name}={before}{one}" for one in values if one not in taken])


def _to_next_dot(path: str, start: int) -> str:
    dot = path.find(".", start)
    return f"{path}=" if dot < 0 else path[: dot + 1]


def _values(default: str) -> list[str]:
    if default in ("true", "false"):
        return ["false", "true"]
    return [default] if default.replace(".", "").replace("-", "").isalnum() else []


def _starting(start: str, choices: Sequence[str]) -> list[str]:
    return [choice for choice in choices if choice.startswith(start)]


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
