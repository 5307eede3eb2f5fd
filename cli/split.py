"""Print what each part of the split holds, with warnings."""

from collections.abc import Sequence

from cli.output import print_table, say
from sources.parts import PartCount


def print_split(parts: Sequence[PartCount], notes: Sequence[str]) -> None:
    """Print rows, positives and users of each part, then every note.

    Args:
        parts: Counts of train, validation and test.
        notes: Sentences, each with its remedy on a second line.
    """
    wanted = "/".join(f"{100 * one.wanted:.0f}" for one in parts)
    rows = [[one.part, one.rows, one.positives, one.users, f"{one.share:.1%}"] for one in parts]
    print_table(f"split (set to {wanted}%)", ["part", "rows", "positives", "users", "share"], rows)
    for note in notes:
        say(f"note: {note}")
