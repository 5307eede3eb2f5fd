"""What can go wrong with arms, told in words."""

from collections.abc import Iterable


class UnknownArm(Exception):
    """A name that is neither an arm nor a task.

    Args:
        names: The unknown names.
        known: The names there are.
    """

    def __init__(self, names: Iterable[str], known: Iterable[str]) -> None:
        self.names, self.known = tuple(names), tuple(known)
        super().__init__(f"no such arm: {', '.join(self.names)}\n  there are: {', '.join(self.known)}")


class ArmFailed(Exception):
    """Training an arm failed; the text holds what its process said last."""
