"""How a fault of a prompt or domain file is worded."""

from base.faults import WrongUse


def unfit(file: str, what: str, fix: str) -> WrongUse:
    """Make the error of a prompt or domain file that cannot be used.

    Args:
        file: The file the fault is in.
        what: What is wrong, in plain words.
        fix: What to change.

    Returns:
        The error, to be raised.
    """
    return WrongUse(f"{file}: {what}\n  {fix}")
