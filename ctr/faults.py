"""How a kept model that cannot be used is reported."""

from pathlib import Path

from base.faults import WrongUse


def unfit_kept(folder: Path, why: str) -> WrongUse:
    """Make the error of a kept model that cannot read these samples, or is no model.

    Args:
        folder: Where it was kept.
        why: What does not fit.

    Returns:
        The error, to be raised.
    """
    return WrongUse(f"{folder}: {why}\n  train again: knowflow train")
