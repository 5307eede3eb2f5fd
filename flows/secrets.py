"""Secrets stored in Prefect, such as the key of a model server."""

from typing import cast


def read_secret(name: str) -> str:
    """Read a Prefect Secret block.

    Raises:
        ValueError: There is no such block.
    """
    from prefect.blocks.system import Secret  # noqa: PLC0415 - takes seconds, and few need it

    return cast(Secret, Secret.load(name)).get()  # not a coroutine: flows are synchronous
