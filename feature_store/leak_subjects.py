"""Collect what a leak check reads: every stored prompt and text, its subject and what it may legitimately show."""

import json
from collections.abc import Iterable

import polars as pl

from feature_store.leak_evidence import Evidence
from feature_store.leak_names import FIELDS

ABOUT = [
    "row", "task", "entity_type", "as_of", "answer_key", "prompt_digest", "text", "reads", "user", "target", "query",
]  # fmt: skip
MESSAGES = pl.List(pl.Struct({"content": pl.String}))
ALIKE = pl.Schema({"task": pl.String, "prompt_digest": pl.String, "alike": pl.String})
GROUP = ["task", "prompt_digest"]


def read_subjects(
    rows: pl.DataFrame, texts: pl.DataFrame, answers: pl.DataFrame, evidence: Evidence, alike: pl.DataFrame, first: int
) -> pl.DataFrame:
    """Collect all that is read of some rows, one row per prompt or text.

    Args:
        rows: Some rows of `leak_rows.read_rows`.
        texts: row and text of all rows, which these may have read.
        answers: key, messages and text of the answers that they name.
        evidence: The data.
        alike: Result of `shared_lines`.
        first: The first `place`.

    Returns:
        place (UInt32), row, entity_type, as_of; user, target and query: its subject, or null; `strict`: what happened
        at `as_of` itself must not be shown; `source`: prompt, text (no model wrote it) or answer (a text that is not a
        verbatim part of its answer); content; `given`: what it may legitimately show, in one text, and `once`: the part
        of that to show only once; `alike`: lines that all prompts of a technique share if its instructions are unknown.
    """
    about = rows.select(ABOUT).join(_read(rows, texts), on="row", how="left", maintain_order="left")
    asked = about.join(answers.rename({"text": "answer"}), left_on="answer_key", right_on="key", maintain_order="left")
    prompts = asked.with_columns(content=sent(pl.col("messages")), source=pl.lit("prompt"))
    prompts = prompts.join(alike, on=GROUP, how="left", nulls_equal=True, maintain_order="left")
    written = about.filter(pl.col("answer_key").is_null()).with_columns(content="text", source=pl.lit("text"))
    beyond = asked.filter(~pl.col("answer").fill_null("").str.contains(pl.col("text"), literal=True))
    told = pl.Series("told", [_unescaped(one) for one in beyond["answer"]], dtype=pl.String)
    beyond = beyond.with_columns(told, content="text", source=pl.lit("answer"))
    every = pl.concat([prompts, written, beyond], how="diagonal").with_row_index("place", offset=first)
    known = instructions_of(evidence)
    targets = evidence.items.select(target="item", fields=pl.concat_str(*FIELDS, separator="\n"), described="described")
    users = evidence.users.select("user", of_user="says")
    for table, key in ((known, "prompt_digest"), (targets, "target"), (users, "user")):
        every = every.join(table, on=key, how="left", maintain_order="left")
    once = pl.concat_str("described", "fixed", "told", separator="\n", ignore_nulls=True)
    given = pl.concat_str("fields", "of_user", "query", "fixed", "told", "read", separator="\n", ignore_nulls=True)
    return every.select(
        "place", "row", "entity_type", "as_of", "user", "target", "query",
        (pl.col("entity_type") == "event").alias("strict"),
        "source", "content", given.alias("given"), once.alias("once"), pl.col("alike").fill_null(""),
    )  # fmt: skip


def instructions_of(evidence: Evidence) -> pl.DataFrame:
    """Return prompt_digest and `fixed`: the text of a prompt without the variables of a row."""
    texts = dict(evidence.instructions)
    schema = {"prompt_digest": pl.String, "fixed": pl.String}
    return pl.DataFrame({"prompt_digest": list(texts), "fixed": list(texts.values())}, schema)


def sent(messages: pl.Expr) -> pl.Expr:
    """Return the contents of stored messages in one text.

    Example:
        >>> stored = pl.DataFrame({"m": ['[{"role":"system","content":"Be brief."},{"role":"user","content":"7"}]']})
        >>> stored.select(sent(pl.col("m")))["m"].to_list()
        ['Be brief.\\n7']
    """
    contents = messages.fill_null("[]").str.json_decode(MESSAGES).list.eval(pl.element().struct.field("content"))
    return contents.list.join("\n")


def _read(rows: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """Return what each row read from other techniques, in one text; those rows are checked themselves."""
    reading = rows.drop_nulls("reads").with_columns(pl.col("reads").str.json_decode(pl.List(pl.String)))
    pairs = reading.select("row", "reads").explode("reads")
    pairs = pairs.join(texts.select(reads="row", read="text"), on="reads", maintain_order="left")
    return pairs.group_by("row").agg(pl.col("read").str.join("\n"))


def _unescaped(answer: str | None) -> str:
    """Return an answer as stored, and with its JSON escapes decoded."""
    try:
        return f"{answer or ''}\n{json.dumps(json.loads(answer or ''), ensure_ascii=False)}"
    except ValueError:
        return answer or ""


def untold(rows: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Return the rows whose prompt's instructions are unknown: what all of them share explains a name."""
    asked = rows.drop_nulls("answer_key")
    return asked.join(instructions_of(evidence), on="prompt_digest", how="anti")


def shared_lines(prompts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return the lines that all prompts of a technique share, if its prompts differ at all.

    Args:
        prompts: task, prompt_digest and content of all prompts with unknown instructions, in parts.

    Returns:
        task, prompt_digest and `alike`: the lines, sorted.
    """
    shared: dict[tuple[str, str | None], set[str]] = {}
    differ: set[tuple[str, str | None]] = set()
    for part in prompts:
        numbered = part.with_row_index("place").with_columns(line=pl.col("content").str.split("\n"))
        sizes = {(task, digest): size for task, digest, size in numbered.group_by(GROUP).len().iter_rows()}
        counts = numbered.explode("line").unique(["place", "line"]).group_by(*GROUP, "line").len()
        for (task, digest), of in counts.group_by(GROUP):
            group = (str(task), None if digest is None else str(digest))
            here = set(of.filter(pl.col("len") == sizes[group])["line"])
            if len(here) < len(of) or shared.get(group, here) != here:
                differ.add(group)
            shared[group] = shared.get(group, here) & here
    told = [(*group, "\n".join(sorted(lines))) for group, lines in shared.items() if group in differ]
    return pl.DataFrame(told, ALIKE, orient="row")
