"""How an error is explained, and with which exit code the command line leaves."""

from dataclasses import dataclass

from base.faults import CheckFailed, WrongUse

CHECK_FAILED, WRONG_INPUT = 1, 2


@dataclass(frozen=True)
class Known:
    """An error that is explained in words."""

    text: str
    """What the user reads."""
    code: int
    """Exit code."""


def describe(error: Exception) -> Known:
    """Turn an error into words and an exit code."""
    if isinstance(error, CheckFailed):
        return Known(str(error), CHECK_FAILED)
    if isinstance(error, WrongUse):
        return Known(str(error), WRONG_INPUT)
    if isinstance(error, OSError) and error.filename is not None:
        fix = "fix the path, the rights or the disk, and run this again"
        return Known(f"{error.filename}: {error.strerror}\n  {fix}", WRONG_INPUT)
    # Not foreseen: a fault of ours, or of a library.
    why = f"{type(error).__name__}: {error}".rstrip(": ")
    return Known(f"something went wrong that should not: {why}\n  its traceback: add --debug", CHECK_FAILED)
