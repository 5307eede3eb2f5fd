"""Check the clocks of codes and edges: a release must not serve them earlier than the newest event behind them.

What is behind a set is read from its sources: its own rows, and the vectors it was made from (what their encoder was
fitted or tuned on, and their newest text). What the release says about the set is not trusted.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl

from feature_store.codes import CODES_TABLE, EDGES_TABLE, Made, made_of, read_rows
from feature_store.database import Store
from feature_store.fitted import fitted_until
from feature_store.leak_evidence import FOUND, Evidence, leaks
from feature_store.leak_made import first_samples
from feature_store.lineage import EPOCH, VectorName
from feature_store.releases import Release, released_lineage

UNSAID_CODES = "a sample gets codes or edges whose maker has seen its time or later, and the release does not say so"


def unsaid_codes(store: Store, release: Release, evidence: Evidence) -> pl.DataFrame:
    """Find codes and edges that a release serves earlier than the newest event behind them."""
    found = [pl.DataFrame(schema=FOUND)]
    for table in (CODES_TABLE, EDGES_TABLE):
        for name in release.facts.get(table, {}):
            made = made_of(release, table, name)
            rows = read_rows(store, release, table, made)
            behind = seen_behind(store, release, made.made_from, _newest(rows["created_at"]), evidence.encoders)
            seen = max(_newest(rows["seen_until"]), behind or EPOCH)
            known = _as_datetime(made)
            if seen > known:
                about = _about(rows, table, name)
                found.append(leaks(first_samples(about, evidence.events, known, seen), UNSAID_CODES))
    return pl.concat(found)


def seen_behind(
    store: Store,
    release: Release,
    made_from: Mapping[str, str],
    made_at: datetime | None = None,
    encoders: Mapping[str, datetime] | None = None,
) -> datetime | None:
    """Find the newest event behind vectors: anything made from all of them has seen it.

    Args:
        store: The store.
        release: The release that holds the vectors.
        made_from: Name of the vectors, as technique/encoder -> their fingerprint.
        made_at: When it was made; later texts are not behind it. None: it is made now, of all texts, whatever the clock
            said when they were written.
        encoders: Fingerprint of a tuned encoder -> newest event, in addition to what the release says.

    Returns:
        The time; None if there is no event behind them.
    """
    fitted, times = fitted_until(store, release.versions), [EPOCH]
    for name, fingerprint in made_from.items():
        noted = release.vectors.get(VectorName.read(name))
        said = noted.seen_until if noted and noted.fingerprint == fingerprint else None
        texts = released_lineage(store, release, [VectorName.read(name).task], ["text", "as_of", "created_at"])
        texts = texts.drop_nulls("text")
        texts = texts if made_at is None else texts.filter(pl.col("created_at") <= made_at)
        times += [one for one in (fitted.get(fingerprint), (encoders or {}).get(fingerprint), said) if one]
        times.append(_newest(texts["as_of"]))
    newest = max(times)
    return newest if newest > EPOCH else None


def _about(rows: pl.DataFrame, table: str, name: str) -> pl.DataFrame:
    """Return the rows of a set in the form of lineage; an edge may be seen by any sample."""
    if table == EDGES_TABLE:
        ends = pl.format("{} {} {}", "source", "kind", "target")
        rows = rows.with_columns(entity_type=pl.lit("edge"), entity=ends)
    return rows.with_columns(row=pl.format("{}/{}/{}", pl.lit(table), pl.lit(name), "entity"))


def _newest(times: pl.Series) -> datetime:
    """Return the newest of some times; the epoch if there is none."""
    return times.to_frame("time").select(pl.col("time").max().fill_null(EPOCH)).item()


def _as_datetime(made: Made) -> datetime:
    """Return the time from which a release serves a set."""
    return EPOCH if made.seen_until is None else made.seen_until.astype(datetime).replace(tzinfo=UTC)
