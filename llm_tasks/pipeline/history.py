"""What a history in a prompt shows: which events, and how each is written."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from base.faults import WrongUse
from prompts.domain import Domain

KIND = ["item", "rating", "label"]
"""What a history shows of an event."""
BELOW = (1 / pl.col("rating") < 0).alias("below")
"""Tells -0 from 0: they are equal, but written differently, and what a prompt shows is in the key of its answer."""
SEPARATOR = "; "
"""Stands between the events of a history."""


def in_history(events: pl.DataFrame, domain: Domain) -> pl.Series:
    """Return which events a history shows.

    A rated event is always shown, with its rating. An event that only has a label of 0 is something the user was shown
    and did not choose: the domain's `unrated` says whether it is left out or marked.

    Args:
        events: Canonical events.
        domain: The words of the domain.

    Returns:
        [N] Boolean, aligned with `events`.

    Raises:
        WrongUse: Some events have no rating and the domain does not say how to show them.
    """
    rated = pl.col("rating").is_not_null()
    if domain.unrated is None and not events.select(rated.all()).item():
        raise WrongUse(
            "domain: it does not say how a history shows events that have a label and no rating\n"
            "  add a line to its file: `unrated: positives` (leave events of label 0 out), or `unrated: decisions`"
            " (mark each event by the words under `decisions`)"
        )
    shown = rated | (pl.col("label") > 0) | pl.lit(domain.unrated == "decisions")
    return events.select(shown.alias("shown"))["shown"]


def events_shown(events: pl.DataFrame, domain: Domain) -> pl.DataFrame:
    """Return the events that a history shows; see `in_history`."""
    return events.filter(in_history(events, domain))


def show_history(seen: pl.DataFrame, names: Mapping[str, str], domain: Domain) -> str:
    """Format events oldest first: `Heat (1995): 4; Fargo (1996): 5`.

    Args:
        seen: item, rating and label of events that a history shows.
        names: Item id -> its name in a history.
        domain: The words of the domain.
    """
    return SEPARATOR.join(event_texts(seen, names, domain))


def event_texts(seen: pl.DataFrame, names: Mapping[str, str], domain: Domain) -> list[str]:
    """Format each event alone, in order; a history joins them with `SEPARATOR`.

    Args:
        seen: item, rating and label of events that a history shows.
        names: Item id -> its name in a history.
        domain: The words of the domain.
    """
    texts: dict[tuple[str, float | None, float, bool], str] = {}  # equal events share one text: logs have millions
    rows = seen.select(*KIND, BELOW).iter_rows()
    return [texts.get(row) or texts.setdefault(row, domain.event(names[row[0]], *row[1:3])) for row in rows]


@dataclass(frozen=True)
class Histories:
    """The events of every user as histories show them, for logs of millions of events."""

    users: list[str]
    """[U], sorted."""
    counts: list[int]
    """[U], how many events each of them has, at least one."""
    texts: list[str]
    """[N], how each event is shown: those of the first user by time, then those of the second one, and so on."""
    times: pl.Series
    """[N], when each event was, in the same order."""


def histories_shown(events: pl.DataFrame, names: Mapping[str, str], domain: Domain) -> Histories:
    """Format the history of every user; see `events_shown` and `event_texts`.

    Args:
        events: Canonical events, which are sorted by time.
        names: Item id -> its name in a history.
        domain: The words of the domain.
    """
    log = events_shown(events, domain)
    places = log.select("user").with_row_index("place").group_by("user").agg("place").sort("user")
    order = places["place"].explode()
    every = log.select(*KIND, BELOW)
    kinds = every.unique(keep="first", maintain_order=True)  # equal events share one text
    numbered = kinds.with_row_index("kind")
    kind = every.join(numbered, on=every.columns, how="left", nulls_equal=True, maintain_order="left")["kind"]
    texts = np.array(event_texts(kinds, names, domain), dtype=object)
    shown = texts[kind.gather(order).to_numpy()].tolist()
    return Histories(places["user"].to_list(), places["place"].list.len().to_list(), shown, log["time"].gather(order))
