"""The entry point: every command, every error a user can meet, and the exit codes.

Exit codes: 0 success; 1 a check or a step failed; 2 wrong use or wrong input; 130 stopped with Ctrl-C.
"""

import logging
import os
import shlex
import sys
from importlib.metadata import version
from typing import NoReturn

from cyclopts import App, CycloptsError

from cli.lazy import COMMANDS, RENAMED
from cli.prefect_settings import set_defaults

HELP = """A large language model's knowledge in your click-through-rate model, without calling a model online.

The usual order: init (once), then plan, refresh, train, report. `knowflow demo` shows all of it on MovieLens.
Exit codes: 0 success, 1 a check or a step failed, 2 wrong use or wrong input. `--debug` shows an error's traceback.
"""
TO_THE_USER = ("sources", "feature_store.identity", "app.arm_places")
"""Loggers whose warnings a command shows."""
ANSWERS_KEPT = "answers so far are kept; run the same command to continue"
KEPT = {
    "copy-store": "files that have arrived are kept; run the same command to continue",
    "demo": "work so far is kept; run the same command to continue",
    "prompts": ANSWERS_KEPT,
    "refresh": ANSWERS_KEPT,
    "retry": ANSWERS_KEPT,
    "rewrites": ANSWERS_KEPT,
    "search-settings": "finished trials are kept; run the same command to continue",
    "simulate": ANSWERS_KEPT,
    "tune": "checkpoints are kept; run the same command with --resume to continue from the newest",
    "train": "nothing of this training run is kept; releases and earlier runs are unchanged",
}
"""Command -> what is kept after Ctrl-C."""


def build_app() -> App:
    """Build the app; each command is imported only when it is called, so that `--help` is quick."""
    app = App(
        name="knowflow",
        help=HELP,
        version=lambda: version("knowflow"),
        version_flags=["--version"],
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
    )
    for name, command in COMMANDS.items():
        flags = {"help_flags": []} if command.own_help else {}
        app.command(command.target, name=name, help=f"{command.summary}\n\nExample: {command.example}", **flags)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    set_defaults()
    if not debug:
        # Prefect prints the traceback of a failed task; a user gets our message instead.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    _print_warnings_once()
    arguments = [argument for argument in arguments if argument != "--debug"]
    if arguments and arguments[0] in RENAMED:
        new = ["knowflow", *RENAMED[arguments[0]]]
        _leave(f"knowflow {arguments[0]} is now {' '.join(new)}\n  run: {shlex.join([*new, *arguments[1:]])}", 2)
    try:
        code = build_app()(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        command = " ".join(["knowflow", *(error.command_chain or ())])
        _leave(f"{_wrong_use(error)}\n  see: {command} --help", 2)
    except KeyboardInterrupt:
        kept = KEPT.get(next(iter(arguments), ""))
        _leave("stopped" + (f"; {kept}" if kept else ""), 130)
    except Exception as error:
        from cli.errors import describe  # noqa: PLC0415 - imports every room, which only an error needs

        if isinstance(error, BrokenPipeError):  # as in `knowflow status | head -1`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        if debug:
            raise
        known = describe(error)
        _leave(known.text, known.code)
    sys.exit(code if isinstance(code, int) else 0)


def _wrong_use(error: CycloptsError) -> str:
    """Describe wrong options; all at once when one of our configs has validated them."""
    found = getattr(error.__cause__, "errors", None)  # a pydantic error; pydantic is not imported here
    if found is None:
        return str(error)
    lines = [
        f"--{'.'.join(map(str, one['loc'])).replace('_', '-')}: {one['msg']}, not {one['input']}" for one in found()
    ]
    return "\n".join(line.replace("Input should", "should") for line in lines)


def _leave(text: str, code: int) -> NoReturn:
    sys.stderr.write(text.rstrip() + "\n")
    sys.exit(code)


def _print_warnings_once() -> None:
    """Print each warning of the data's reader once, although every stage reads the data again."""
    printed: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        new = text not in printed
        printed.add(text)
        return new

    handler = logging.StreamHandler()
    handler.addFilter(is_new)
    for name in TO_THE_USER:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.propagate = False


if __name__ == "__main__":
    main()
