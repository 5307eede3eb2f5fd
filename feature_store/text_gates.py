"""Gates over the answers themselves: refusals, answers that are alike, thinking, script, language, length."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from feature_store.drift_gates import FindTexts, least_hashes, vocabulary_gate
from feature_store.gate import Gate, GatesConfig
from feature_store.text_facts import mixed

BAND = 4
"""How many minimum hashes must agree for two texts to be compared."""
SAME = 0.8
"""Share of three-word sequences that two nearly equal texts have in common."""
SAMPLED = 2_000
"""Most answers whose language is looked at: a share of 5% is then found to half a percent."""
FEWEST = 3
"""Answers that are thinking alone, of which fewer close no gate."""


def text_gates(
    task: str,
    rows: pl.DataFrame,
    answers: pl.DataFrame,
    before: pl.DataFrame | None,
    config: GatesConfig,
    find_texts: FindTexts,
) -> list[Gate]:
    """Check the texts that a model wrote for a technique; none for a technique that asks no model.

    Args:
        task: The technique.
        rows: Its lineage: text_key, error.
        answers: Those of its rows whose text a model wrote: row, entity, text_key, and the facts of the text
            (`text_facts.FACTS`).
        before: The same of the current release, without entity; None if there is none.
        config: Thresholds.
        find_texts: Finds the texts of some keys, those of the current release too.
    """
    if answers.is_empty():
        return []
    share, example = float(answers["refused"].mean() or 0), ""  # pyright: ignore[reportArgumentType] - the mean of Booleans
    if share > config.refusals:
        first = answers.row(answers["refused"].arg_max() or 0, named=True)
        text = find_texts(pl.Series("text_key", [first["text_key"]]))["text"][0]
        example = f"; the first: {first['entity']}: {text[:80]!r}"
    found = f"{share:.1%} of {len(answers):,} answers, at most {config.refusals:.1%}{example}"
    gates = [Gate(f"{task} refusals", share <= config.refusals, found, setting="refusals")]
    share = share_alike(answers["entity"], answers["signature"])
    of = f"{len(answers):,} answers"
    found = f"{share:.1%} of {of} are nearly the same as another entity's, at most {config.alike:.1%}"
    gates.append(Gate(f"{task} alike", share <= config.alike, found, setting="alike"))
    gates.append(_thinking(task, rows, answers["marked"], config.thinking))
    gates.append(_script(task, answers["script"], config.script))
    then = None if before is None or before.is_empty() else before
    gates.append(_language(task, answers, then, config.language))
    if then is not None:
        gates.append(_length(task, answers["chars"], then["chars"], config.length))
        gates.append(vocabulary_gate(task, answers, then, config.vocabulary, find_texts))
    return gates


def answers_in(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with a text that a model wrote."""
    return rows.filter(pl.col("answer_key").is_not_null() & pl.col("text_key").is_not_null())


def share_alike(entities: Sequence[str] | pl.Series, signatures: pl.Series) -> float:
    """Return the share of texts that are nearly the same as the text of another entity.

    Two texts are nearly the same if 80% of their sequences of three words agree (Jaccard similarity, estimated from 24
    minimum hashes; Broder 1997, "On the resemblance and containment of documents"). Digits do not count; a text of
    fewer than 12 words is not compared.

    Args:
        entities: Whom each text is about.
        signatures: From `text_facts.signatures`.

    Example:
        >>> from feature_store.text_facts import signatures
        >>> texts = pl.Series(["one two three four " * 4] * 2 + ["another text of other words " * 4])
        >>> share_alike(["a", "b", "c"], signatures(texts))
        0.6666666666666666
    """
    told = pl.DataFrame([pl.Series("entity", entities, dtype=pl.String), signatures.alias("signature")])
    long = told.drop_nulls("signature") if signatures.null_count() else told
    if long.is_empty():
        return 0.0
    hashes, about = np.ascontiguousarray(long["signature"].to_numpy()), long["entity"]
    alike = np.zeros(len(long), dtype=bool)
    for start in range(0, hashes.shape[1], BAND):
        band = hashes[:, start : start + BAND]
        some = np.flatnonzero(pl.Series(_in_one(band)).is_duplicated())  # all that agree with another text, at least
        bands = pl.DataFrame(band[some])
        place = bands.with_row_index("place").select(pl.col("place").first().over(bands.columns))["place"].to_numpy()
        first = some[place]
        apart = (about.gather(first) != about.gather(some)).to_numpy()  # snapshots of one user may well agree
        same = (hashes[first[apart]] == hashes[some[apart]]).mean(axis=1) >= SAME
        alike[some[apart][same]] = alike[first[apart][same]] = True
    return float(alike.sum() / len(signatures))


def _in_one(band: np.ndarray) -> np.ndarray:
    """Return one number for the hashes of a band: [n, BAND] uint32 -> [n] uint64; equal bands have equal numbers."""
    number = np.zeros(len(band), dtype=np.uint64)
    for pair in np.ascontiguousarray(band).view(np.uint64).T:
        number = mixed(number) ^ pair
    return number


def _script(task: str, scripts: pl.Series, most: float) -> Gate:
    main = scripts.drop_nulls().value_counts(name="count").sort("count", "script", descending=[True, False])
    usual, count = main.row(0) if len(main) else ("no letters", 0)
    share = 1 - count / max(main["count"].sum(), 1)
    found = f"{share:.1%} of {len(scripts):,} answers are not in {usual} letters, at most {most:.1%}"
    return Gate(f"{task} script", share <= most, found, setting="script")


def _thinking(task: str, rows: pl.DataFrame, marks: pl.Series, most: float) -> Gate:
    """Count answers that are nothing but thinking, which have no text, and texts with marks of thinking."""
    lacking = rows.filter(pl.col("text_key").is_null())
    empty = int(lacking["error"].str.starts_with("no_text").sum())
    marked = int(marks.sum())
    share = (empty + marked) / max(len(marks) + empty, 1)
    fix = "; switch thinking off, or raise sampling.max_tokens in the prompt" if share > most else ""
    found = (
        f"{share:.1%} of {len(marks) + empty:,} answers are thinking alone or hold its marks, at most {most:.1%}{fix}"
    )
    holds = share <= most or empty + marked < FEWEST  # in a small shop one answer is a large share
    return Gate(f"{task} thinking", holds, found, setting="thinking")


def _language(task: str, answers: pl.DataFrame, before: pl.DataFrame | None, most: float) -> Gate:
    """Compare the language of answers with the usual one: of the current release, or of the first release itself."""
    told, then = (_languages(of) if of is not None else Counter() for of in (answers, before))
    usual = next(iter((then or told).most_common(1)), ("a language", 0))[0]
    count = sum(told.values())
    share = 1 - told[usual] / count if count else 0.0
    other = next((f"; most of these: {name}" for name, _ in told.most_common(2) if name != usual), "")
    found = f"{share:.1%} of {count:,} answers are not in the usual language ({usual}"
    found += f"{other if share > most else ''}), at most {most:.1%}"
    return Gate(f"{task} language", share <= most, found, setting="language")


def sampled(answers: pl.DataFrame) -> pl.DataFrame:
    """Return the answers whose language is looked at, the same ones each time."""
    return least_hashes(answers, SAMPLED)


def _languages(answers: pl.DataFrame) -> Counter[str]:
    """Count the languages of some of the answers; too short ones are left out."""
    return Counter(name for name in sampled(answers.select("row", "language"))["language"] if name)


def _length(task: str, chars: pl.Series, old: pl.Series, most: float) -> Gate:
    now, then = (max(float(np.median(of.to_numpy())), 1.0) for of in (chars, old))
    found = f"{now:,.0f} characters in the middle, {then:,.0f} in the current release, at most {most:g} times apart"
    return Gate(f"{task} length", max(now / then, then / now) <= most, found, setting="length")
