"""How many results can be asked for."""

from base.faults import WrongUse


def check_number(k: int) -> None:
    """Check a number of results.

    Raises:
        WrongUse: It is below 1.

    Example:
        >>> check_number(1)
    """
    if k < 1:
        raise WrongUse(f"k: {k} results cannot be found\n  give a number from 1 on")
