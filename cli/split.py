"""Print what each part of the split holds, with warnings."""

from collections.abc import Sequence

from cli.output import print_table, say
from sources.config import SourceConfig
from sources.parts import PartCount, split_warnings


def print_split(parts: Sequence[PartCount]) -> None:
    """Print rows, positives and users of train, validation and test."""
    wanted = "/".join(f"{100 * one.wanted:.0f}" for one in parts)
    rows = [[one.part, one.rows, one.positives, one.users, f"{one.share:.1%}"] for one in parts]
    print_table(f"split (set to {wanted}%)", ["part", "rows", "positives", "users", "share"], rows)


def split_notes(parts: Sequence[PartCount], source: SourceConfig) -> list[str]:
    """Return what is to be said of the rows to train on: warnings about their split, and that negatives are sampled."""
    sampled = [source.label.negatives.told()] if source.label.negatives else []
    return [*split_warnings(parts, source.split), *sampled]


def say_notes(notes: Sequence[str]) -> None:
    """Print warnings, each with its remedy on a second line, to standard error."""
    for note in notes:
        say(f"note: {note}")
