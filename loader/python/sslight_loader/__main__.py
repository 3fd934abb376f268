"""The command line: the loader's and the shard tool's commands, and three of this package."""

import sys

from . import _native
from .errors import LoaderError

_LOADER = ("serve", "status")
_SHARD_TOOL = ("pack", "index", "synth", "list", "stat", "cat", "unpack", "split", "verify")

_USAGE = f"""usage: python -m sslight_loader COMMAND ...

  bench PATH     images per second that reach Python, and the time that a batch takes which is ready
  preview PATH   a contact sheet of the views of a recipe (PNG)
  doctor PATH    whether this machine and this data set are fit, line by line

  {', '.join(_LOADER)}: as the program `loader`
  {', '.join(_SHARD_TOOL)}: as the program `shard-tool`

Each of them has --help."""


def main(args: list[str] | None = None) -> int:
    """Runs a command and returns its exit code."""
    command, *rest = (sys.argv[1:] if args is None else args) or ["--help"]
    try:
        if command in _LOADER or command == "preview" and "--help" in rest:
            return _native.loader([command, *rest])
        if command == "preview":
            return _native.loader([command, *_with_out(rest)])
        if command in _SHARD_TOOL:
            _native.shard_tool([command, *rest])
            return 0
        if command == "bench":
            from .bench import main as bench

            return bench(rest)
        if command == "doctor":
            from .doctor import main as doctor

            return doctor(rest)
    except LoaderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    is_help = command in ("-h", "--help")
    print(_USAGE, file=sys.stdout if is_help else sys.stderr)
    return 0 if is_help else 2


def _with_out(args: list[str]) -> list[str]:
    given = any(arg == "--out" or arg.startswith("--out=") for arg in args)
    return args if given else [*args, "--out", "views.png"]


if __name__ == "__main__":
    sys.exit(main())
