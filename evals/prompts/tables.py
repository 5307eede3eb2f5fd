"""Tables of the measures of a trial, the same for the terminal and for the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from evals.trial import FACTS, Figure, Measured
from evals.words import MINUS, NOTHING, signed

CAPTIONS = {
    "worth": "What the versions are worth to the recommender",
    "judge": "What a judge prefers",
    "text": "The texts",
    "cost": "What the versions cost",
}
"""Kind of measure -> caption of its table, in order."""


@dataclass(frozen=True)
class FigureTable:
    """A table of measures."""

    caption: str
    """What it shows."""
    columns: Sequence[str]
    """Headings."""
    rows: Sequence[tuple[str, str, Sequence[str]]]
    """Measure, what it says, and a cell for each further column."""


def measure_tables(measured: Sequence[Measured], versions: Sequence[str]) -> list[FigureTable]:
    """Write a table for each kind of measure: a column for every version, and one for its difference from the first.

    Args:
        measured: The measures.
        versions: The versions, in order.
    """
    return [_table(kind, made, versions) for kind in CAPTIONS if (made := [m for m in measured if m.kind == kind])]


def _table(kind: str, measured: Sequence[Measured], versions: Sequence[str]) -> FigureTable:
    extra = [name for name in _extra(measured) if name not in versions]
    pairs = [(version, other) for version in versions for other in (versions[0], *extra) if version != other]
    compared = [pair for pair in pairs if any(pair[1] in one.against.get(pair[0], {}) for one in measured)]
    columns = ["measure", *(short_name(name, versions) for name in (*versions, *extra))]
    columns += [f"{short_name(one, versions)} {MINUS} {short_name(other, versions)}" for one, other in compared]
    rows = [
        (
            one.name,
            one.about,
            [
                *(figure_text(one.figures.get(name)) for name in (*versions, *extra)),
                *(difference_text(one.against.get(version, {}).get(other)) for version, other in compared),
            ],
        )
        for one in measured
    ]
    return FigureTable(CAPTIONS[kind], columns, rows)


def _extra(measured: Sequence[Measured]) -> list[str]:
    """Return the names that figures have besides versions: the facts first."""
    names = {name for one in measured for name in one.figures}
    return sorted(names, key=lambda name: (name != FACTS, name))


def short_name(name: str, versions: Sequence[str]) -> str:
    """Return the version alone of a name, where all versions are of one task.

    Example:
        >>> short_name("kar_item.v2", ["kar_item.v1", "kar_item.v2"]), short_name("facts", ["kar_item.v1"])
        ('v2', 'facts')
    """
    return name.rpartition(".")[2] if name in versions else name


def value_text(value: float | None) -> str:
    """Format a number with as many digits as it deserves.

    Example:
        >>> value_text(0.81649), value_text(55.25), value_text(12345.6), value_text(2.0), value_text(None)
        ('0.816', '55.2', '12,346', '2', '–')
    """
    if value is None:
        return NOTHING
    if float(value).is_integer():
        return f"{value:,.0f}".replace("-", MINUS)
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return f"{value:,.{digits}f}".replace("-", MINUS)


def figure_text(figure: Figure | None) -> str:
    """Format a figure with its interval.

    Example:
        >>> figure_text(Figure(0.5, 0.25, 0.75)), figure_text(Figure(None, why="no row has a value"))
        ('0.500 [0.250, 0.750]', '–')
    """
    if figure is None or figure.mean is None:
        return NOTHING
    exact = abs(figure.mean) < 10 and figure.low is not None
    mean = f"{figure.mean:.3f}".replace("-", MINUS) if exact else value_text(figure.mean)
    if figure.low is None or figure.high is None:
        return mean
    return f"{mean} [{value_text(figure.low)}, {value_text(figure.high)}]"


def difference_text(figure: Figure | None) -> str:
    """Format a difference with its sign, interval and chance.

    Example:
        >>> difference_text(Figure(0.02, -0.01, 0.05, 50, p=0.2))
        '+0.020 [−0.010, +0.050], p 0.200'
    """
    if figure is None or figure.mean is None:
        return NOTHING
    text = _signed(figure.mean)
    if figure.low is not None and figure.high is not None:
        text += f" [{_signed(figure.low)}, {_signed(figure.high)}]"
    return text if figure.p is None else f"{text}, p {figure.p:.3f}"


def _signed(value: float) -> str:
    return signed(value, 3 if abs(value) < 10 else 1)
