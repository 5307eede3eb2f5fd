"""The two ways in which a command can end badly, told apart by its exit code."""


class WrongUse(Exception):
    """What was asked or given cannot be used: a setting, a file, a name. Exit code 2.

    The text says what is wrong, where, and what to change or run. A subclass exists only where a caller tells it apart.
    """


class CheckFailed(Exception):
    """The use was right and the result is not: a gate, a limit, a failed process. Exit code 1.

    The text says what failed and how to go on. A subclass exists only where a caller tells it apart.
    """
