"""Collect what a leak check reads: every stored prompt and text, its subject and what it may legitimately show."""

import json

import polars as pl

from feature_store.leak_evidence import Evidence
from feature_store.leak_names import FIELDS
from sources.tables import event_of

ABOUT = ["row", "task", "entity_type", "entity", "as_of", "answer_key", "prompt_digest", "text", "reads"]


def read_subjects(rows: pl.DataFrame, answers: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Collect all that is read, one row per prompt or text.

    Args:
        rows: Lineage with a text.
        answers: key, messages and text of the answers that they name.
        evidence: The data.

    Returns:
        place (UInt32), row, entity_type, as_of; user, target and query: its subject, or null; `strict`: what happened
        at `as_of` itself must not be shown; `source`: prompt, text (no model wrote it) or answer (a text that is not a
        verbatim part of its answer); content; `given`: what it may legitimately show, in one text, and `once`: the part
        of that to show only once; `alike`: lines that all prompts of a technique share if its instructions are unknown.
    """
    about = _with_entities(rows.select(ABOUT)).join(_read(rows), on="row", how="left", maintain_order="left")
    asked = about.join(answers.rename({"text": "answer"}), left_on="answer_key", right_on="key", maintain_order="left")
    prompts = asked.with_columns(
        content=pl.Series([_sent(one) for one in asked["messages"]], dtype=pl.String), source=pl.lit("prompt")
    )
    written = about.filter(pl.col("answer_key").is_null()).with_columns(content="text", source=pl.lit("text"))
    beyond = asked.filter(~pl.col("answer").fill_null("").str.contains(pl.col("text"), literal=True))
    told = pl.Series("told", [_unescaped(one) for one in beyond["answer"]], dtype=pl.String)
    beyond = beyond.with_columns(told, content="text", source=pl.lit("answer"))
    every = pl.concat([prompts, written, beyond], how="diagonal").with_row_index("place")
    texts = dict(evidence.instructions)
    known = pl.DataFrame(
        {"prompt_digest": list(texts), "fixed": list(texts.values())}, {"prompt_digest": pl.String, "fixed": pl.String}
    )
    targets = evidence.items.select(target="item", fields=pl.concat_str(*FIELDS, separator="\n"), described="described")
    users = evidence.users.select("user", of_user="says")
    for table, key in ((known, "prompt_digest"), (targets, "target"), (users, "user")):
        every = every.join(table, on=key, how="left", maintain_order="left")
    once = pl.concat_str("described", "fixed", "told", separator="\n", ignore_nulls=True)
    given = pl.concat_str("fields", "of_user", "query", "fixed", "told", "read", separator="\n", ignore_nulls=True)
    return every.select(
        "place", "row", "entity_type", "as_of", "user", "target", "query",
        (pl.col("entity_type") == "event").alias("strict"),
        "source", "content", given.alias("given"), once.alias("once"), _alike(every),
    )  # fmt: skip


def _read(rows: pl.DataFrame) -> pl.DataFrame:
    """Return what each row read from other techniques, in one text; those rows are checked themselves."""
    reading = rows.drop_nulls("reads").with_columns(pl.col("reads").str.json_decode(pl.List(pl.String)))
    texts = rows.select(reads="row", read="text")
    pairs = reading.select("row", "reads").explode("reads").join(texts, on="reads")
    return pairs.group_by("row").agg(pl.col("read").str.join("\n"))


def _with_entities(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the subject of rows: user, target (an item) and query."""
    kinds = zip(rows["entity_type"], rows["entity"], strict=True)
    named = [
        (*event_of(entity), None)
        if kind == "event"
        else tuple(entity if kind == one else None for one in ("user", "item", "query"))
        for kind, entity in kinds
    ]
    columns = {"user": pl.String, "target": pl.String, "query": pl.String}
    return pl.concat([rows, pl.DataFrame(named, schema=columns, orient="row")], how="horizontal")


def _sent(messages: str | None) -> str:
    return "\n".join(message["content"] for message in json.loads(messages or "[]"))


def _unescaped(answer: str | None) -> str:
    """Return an answer as stored, and with its JSON escapes decoded."""
    try:
        return f"{answer or ''}\n{json.dumps(json.loads(answer or ''), ensure_ascii=False)}"
    except ValueError:
        return answer or ""


def _alike(every: pl.DataFrame) -> pl.Series:
    """Return the lines that all prompts of a technique share if its instructions are unknown; none if all are equal."""
    lines = every.filter(pl.col("fixed").is_null() & (pl.col("source") == "prompt")).select(
        "place", "task", "prompt_digest", line=pl.col("content").str.split("\n")
    )
    alike: dict[int, str] = {}
    for _, part in lines.group_by("task", "prompt_digest", maintain_order=True):
        in_rows = part.explode("line").unique(["place", "line"])["line"].value_counts()
        shared = set(in_rows.filter(pl.col("count") == len(part))["line"])
        if shared and part["line"].list.set_difference(sorted(shared)).list.len().sum():
            alike |= dict.fromkeys(part["place"], "\n".join(sorted(shared)))
    return pl.Series("alike", [alike.get(place, "") for place in every["place"]], dtype=pl.String)
