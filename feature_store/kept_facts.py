"""What was found in the texts of a release, kept in a file, so that a refresh looks at new texts alone.

The file is named by the code that finds the facts and by the checksum of its bytes: a file that is damaged, or that
other code wrote, is not read, and everything is found anew.
"""

import hashlib
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
import polars as pl

from base.files import sha256_of
from feature_store.drift_gates import FindTexts
from feature_store.text_facts import FACTS, find_facts, find_languages
from feature_store.text_gates import answers_in, sampled

FOLDER = "texts"
"""In the home folder."""
OURS = re.compile(r"[0-9a-f]{16}-[0-9a-f]{64}\.parquet|\.\d+\.half")
"""Names of our files, and of what a kill left half written."""
BROKEN = (OSError, pl.exceptions.PolarsError)
"""What reading or writing a file may raise."""
LOG = logging.getLogger(__name__)


def _code_digest() -> str:
    """Return a digest of all that the facts depend on but the texts."""
    digest = hashlib.sha256(" ".join([sys.version, pl.__version__, np.__version__, bm25s.__version__]).encode())
    for code in ("language.py", "text_facts.py"):
        digest.update(Path(__file__).with_name(code).read_bytes())
    return digest.hexdigest()[:16]


CODE = _code_digest()
"""Taken when the code is imported: what is edited later is not what this process runs."""


def read_facts(folder: Path | None) -> pl.DataFrame:
    """Read what is kept; nothing if there is no whole file of the present code.

    Args:
        folder: The folder; None if nothing is kept.
    """
    for file in [] if folder is None else sorted(folder.glob(f"{CODE}-*.parquet")):
        try:
            if file.stem == f"{CODE}-{sha256_of(file)}":
                return pl.read_parquet(file).match_to_schema(FACTS)
        except BROKEN:  # another process has just replaced it, or the disk fails
            continue
    return FACTS.to_frame()


def keep_facts(folder: Path, facts: pl.DataFrame) -> None:
    """Keep the facts of some texts, and nothing else; a disk that takes no more costs the next refresh time.

    Args:
        folder: The folder; made if missing.
        facts: `FACTS`, each key once.
    """
    half = folder / f".{os.getpid()}.half"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        facts.write_parquet(half, compression="uncompressed", statistics=False)  # hashes cannot be compressed
        file = folder / f"{CODE}-{sha256_of(half)}.parquet"
        half.replace(file)
        for other in folder.iterdir():
            if OURS.fullmatch(other.name) and other != file:
                other.unlink(missing_ok=True)
    except BROKEN as error:
        words = (
            "what the gates found in texts cannot be kept, so the next refresh finds it anew: %s\n  free space in %s"
        )
        LOG.warning(words, str(error).splitlines()[0], folder)


def complete_facts(
    kept: pl.DataFrame, sides: Sequence[pl.DataFrame], texts: FindTexts
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Find the facts of all answers of the candidate and of the current release, and the languages of some.

    Args:
        kept: From `read_facts`.
        sides: Lineage of the two: row, task, text_key, answer_key.
        texts: Finds the texts of some keys.

    Returns:
        `FACTS` of what is kept, then of what is new; and for each side the rows with an answer, with `place`: the row
        of its text in the facts.
    """
    known = kept.select("text_key").with_row_index("place")
    placed = [answers_in(side).join(known, on="text_key", how="left", maintain_order="left") for side in sides]
    unknown = pl.concat([of.filter(pl.col("place").is_null())["text_key"] for of in placed]).unique()
    new = find_facts(texts(unknown))
    if len(new):
        places = new.select("text_key").with_row_index("new", offset=len(kept))
        joined = [of.join(places, on="text_key", how="left", maintain_order="left") for of in placed]
        placed = [of.with_columns(pl.coalesce("place", "new").alias("place")).drop("new") for of in joined]
    facts = pl.concat([kept, new])
    slim = [of.select("row", "task", "place") for of in placed]
    looked_at = [sampled(part)["place"] for of in slim for part in of.partition_by("task")]
    if looked_at:
        facts = facts.with_columns(_languages(facts, pl.concat(looked_at).unique(), texts))
    return facts, placed


def _languages(facts: pl.DataFrame, places: pl.Series, texts: FindTexts) -> pl.Series:
    """Return the languages with those of some more texts."""
    unseen = places.filter(facts["language"].gather(places).is_null())
    if unseen.is_empty():
        return facts["language"]
    keys = facts["text_key"].gather(unseen).to_frame().with_columns(place=unseen)
    found = texts(keys["text_key"]).join(keys, on="text_key")
    return facts["language"].scatter(found["place"], find_languages(found["text"]))


def with_facts(answers: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Return answers, from `complete_facts`, with the facts of their texts."""
    return answers.hstack(facts.drop("text_key").select(pl.all().gather(answers["place"])))
