"""The entry point: every command, every error a user can meet, and the exit codes.

Exit codes: 0 all well; 1 a check or a step failed; 2 wrong use or wrong input; 130 stopped with Ctrl-C.
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
Exit codes: 0 all well, 1 a check or a step failed, 2 wrong use or wrong input. `--debug` shows an error's traceback.
"""
ANSWERS_KEPT = "what was answered is kept, the same command goes on from there"
KEPT = {
    "demo": "what was done is kept, the same command goes on from there",
    "refresh": ANSWERS_KEPT,
    "retry": ANSWERS_KEPT,
    "rewrites": ANSWERS_KEPT,
    "tune": "its checkpoints are kept, the same command with --resume goes on from the newest",
    "train": "nothing is kept of this training run; releases and earlier runs are unharmed",
}
"""Command -> what Ctrl-C leaves behind."""


def build_app() -> App:
    """Put the commands together; each is imported only when it is called, so that `--help` is quick."""
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
    """Run one command and leave with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    set_defaults()
    if not debug:
        # Prefect prints the traceback of a failed task; a user gets the sentence instead.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    _tell_warnings()
    arguments = [argument for argument in arguments if argument != "--debug"]
    if arguments and arguments[0] in RENAMED:
        new = ["knowflow", *RENAMED[arguments[0]]]
        _leave(f"knowflow {arguments[0]} is {' '.join(new)} now\n  type: {shlex.join([*new, *arguments[1:]])}", 2)
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
    """Tell what is wrong with options; all at once where a config of ours has looked at them."""
    found = getattr(error.__cause__, "errors", None)  # of pydantic, which is not imported for this
    if found is None:
        return str(error)
    lines = [
        f"--{'.'.join(map(str, one['loc'])).replace('_', '-')}: {one['msg']}, not {one['input']}" for one in found()
    ]
    return "\n".join(line.replace("Input should", "should") for line in lines)


def _leave(text: str, code: int) -> NoReturn:
    sys.stderr.write(text.rstrip() + "\n")
    sys.exit(code)


def _tell_warnings() -> None:
    """Tell what the data's reader has to say, once, although every stage reads the data anew."""
    told: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        new = text not in told
        told.add(text)
        return new

    logger, handler = logging.getLogger("sources"), logging.StreamHandler()
    handler.addFilter(is_new)
    logger.addHandler(handler)
    logger.propagate = False


if __name__ == "__main__":
    main()
