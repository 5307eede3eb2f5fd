"""Runs `knowflow forget USER --yes` and kills itself (SIGKILL) at a moment: CONFIG USER MOMENT [NUMBER]."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import feature_store.forget as in_store
from app import forgetting


def die(*_: object) -> None:
    """End at once, as with kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(config: str, user: str, moment: str, number: str = "1") -> None:
    """Arrange for the end, and run the command."""
    from cli.forget import forget_users

    left = [int(number)]

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                die()
            return function(*arguments, **named)

        return call

    if moment == "rename":  # before the rename after so many of the replacement
        Path.rename = counted(Path.rename)  # type: ignore[method-assign]
    elif moment == "table":  # while the tables are staged
        in_store.clean_table = counted(in_store.clean_table)
    else:  # after a step
        steps = forgetting._Forgetting.steps

        def killed(self: Any) -> list:
            names = [step.__name__ for step in steps(self)]
            return [*steps(self)[: names.index(moment) + 1], die]

        forgetting._Forgetting.steps = killed  # type: ignore[method-assign]
    forget_users(user, config=config, yes=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
