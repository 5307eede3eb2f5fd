"""The entry point: every command, every error a user can meet, and the exit codes.

Exit codes: 0 all well; 1 a check failed (a leak, a closed gate); 2 wrong use or wrong input.
"""

import os
import sys

from cyclopts import App, CycloptsError
from rich.console import Console

from cli.lazy import COMMANDS
from cli.prefect_settings import set_defaults

HELP = """A large language model's knowledge in your click-through-rate model, without calling a model online.

The usual order: init (once), then plan, refresh, train, report. `knowflow demo` shows all of it on MovieLens.
Exit codes: 0 all well, 1 a check failed, 2 wrong use or wrong input.
"""


def build_app() -> App:
    """Put the commands together; each is imported only when it is called, so that `--help` is quick."""
    app = App(name="knowflow", help=HELP, version_flags=["--version"], help_format="plaintext")
    for name, command in COMMANDS.items():
        app.command(command.target, name=name, help=f"{command.summary}\n\nExample: {command.example}")
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    set_defaults()
    if not debug:
        # Prefect prints the traceback of a failed task; a user gets the sentence instead.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    try:
        code = build_app()([a for a in arguments if a != "--debug"], exit_on_error=False, print_error=True)
    except CycloptsError:
        sys.exit(2)
    except KeyboardInterrupt:
        Console(stderr=True).print(
            "stopped; what was answered is kept, the same command goes on from there", style="bold"
        )
        sys.exit(130)
    except Exception as error:
        from cli.errors import describe  # noqa: PLC0415 - imports every room, which only an error needs

        known = describe(error)
        if debug or known is None:
            raise
        sys.stderr.write(known.text.rstrip() + "\n")
        sys.exit(known.code)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
