"""Print what each part of the split holds, with warnings."""

from collections.abc import Sequence

from cli.output import print_table, say
from sources.parts import PartCount


def print_split(parts: Sequence[PartCount]) -> None:
    """Print rows, positives and users of train, validation and test."""
    wanted = "/".join(f"{100 * one.wanted:.0f}" for one in parts)
    rows = [[one.part, one.rows, one.positives, one.users, f"{one.share:.1%}"] for one in parts]
    print_table(f"split (set to {wanted}%)", ["part", "rows", "positives", "users", "share"], rows)


def say_notes(notes: Sequence[str]) -> None:
    """Print warnings, each with its remedy on a second line, to standard error."""
    for note in notes:
        say(f"note: {note}")
