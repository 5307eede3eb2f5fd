"""Gates over the answers themselves: refusals, answers that are alike, thinking, script, language, length."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from feature_store.drift_gates import vocabulary_gate
from feature_store.gate import Gate, GatesConfig
from feature_store.language import language_of

EXCUSE = (
    r"(?i)^\W*(well, |okay, |hello[,.!] |hi[,.!] )?(but )?"
    r"((i|we)('m| am|'re| are) (very |really |so |truly )?(sorry|afraid|unable|not able)\b"
    r"|(sorry|apologies|unfortunately)\b[^.]{0,80}\b(can(no|'|’)t|can not|unable|not able|don't|do not)\b"
    r"|(sorry|my apologies|i apologi[sz]e)\b"
    r"|as an? (ai|artificial intelligence|(large )?language model)\b"
    r"|i (can(no|'|’)t|can not|am not able to|won't|will not) (help|assist|provide|answer|comply|fulfil|do that|give)\b"
    r"|i (do not|don't) have (any |enough |access|information|specific)"
    r"|(es tut mir leid|lo siento|je suis désolée?|mi dispiace|desculpe|к сожалению|извините|抱歉|对不起|申し訳))"
)
"""How a refusal or an excuse begins."""
WORDS_TO_COMPARE = 12
"""Shorter answers, such as a category, may well be the same for many."""
HASHES, BAND = 24, 4
"""Minimum hashes of a text, and how many of them must agree for two texts to be compared."""
SAME = 0.8
"""Share of three-word sequences that two nearly equal texts have in common."""
HASHED_AT_ONCE = 100_000
"""Texts hashed at once, so that memory does not grow with their number."""
SAMPLED = 2_000
"""Most answers whose language is looked at: a share of 5% is then found to half a percent."""
THOUGHTS = r"^\s*<(think|thinking|thought|reasoning)>|</(think|thinking|reasoning)>|◁/?think▷|\[/?THINK\]"
"""Marks of thinking that do not belong into an answer."""
SCRIPTS = {
    "Latin": r"\p{Latin}",
    "Cyrillic": r"\p{Cyrillic}",
    "Greek": r"\p{Greek}",
    "Arabic": r"\p{Arabic}",
    "Hebrew": r"\p{Hebrew}",
    "Devanagari": r"\p{Devanagari}",
    "Thai": r"\p{Thai}",
    "Hangul": r"\p{Hangul}",
    "Kana": r"[\p{Hiragana}\p{Katakana}]",
    "Han": r"\p{Han}",
}
"""Letters of each script."""

FEWEST = 3
"""Answers that are thinking alone, of which fewer close no gate."""


def text_gates(task: str, rows: pl.DataFrame, before: pl.DataFrame | None, config: GatesConfig) -> list[Gate]:
    """Check the texts that a model wrote for a technique; none for a technique that asks no model.

    Args:
        task: The technique.
        rows: Its lineage: entity, row, text, answer_key.
        before: The same of the current release; None if there is none.
        config: Thresholds.
    """
    texts = _answers(rows)
    if texts.is_empty():
        return []
    refused = excuses(texts["text"])
    share, example = float(refused.mean() or 0), ""  # pyright: ignore[reportArgumentType] - the mean of Booleans
    if share > config.refusals:
        example = f"; the first: {texts['entity'][refused.arg_max() or 0]}: {texts['text'].filter(refused)[0][:80]!r}"
    found = f"{share:.1%} of {len(texts):,} answers, at most {config.refusals:.1%}{example}"
    gates = [Gate(f"{task} refusals", share <= config.refusals, found, setting="refusals")]
    share = share_alike(texts["entity"], texts["text"])
    found = f"{share:.1%} of {len(texts):,} answers are nearly the same as another entity's, at most {config.alike:.1%}"
    gates.append(Gate(f"{task} alike", share <= config.alike, found, setting="alike"))
    gates.append(_thinking(task, rows, texts["text"], config.thinking))
    gates.append(_script(task, texts["text"], config.script))
    old = None if before is None else _answers(before.filter(pl.col("row").str.starts_with(f"{task}/")))
    then = None if old is None or old.is_empty() else old
    gates.append(_language(task, texts, then, config.language))
    if then is not None:
        gates.append(_length(task, texts["text"], then["text"], config.length))
        gates.append(vocabulary_gate(task, texts, then, config.vocabulary))
    return gates


def _answers(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("answer_key").is_not_null() & pl.col("text").is_not_null())


def excuses(texts: pl.Series) -> pl.Series:
    """Return for each answer whether it is a refusal or an excuse.

    Example:
        >>> excuses(pl.Series(["I'm sorry, but as an AI I cannot help.", "A sorry tale of two thieves."])).to_list()
        [True, False]
    """
    return texts.str.slice(0, 300).str.contains(EXCUSE)


def share_alike(entities: Sequence[str] | pl.Series, texts: Sequence[str] | pl.Series) -> float:
    """Return the share of texts that are nearly the same as the text of another entity.

    Two texts are nearly the same if 80% of their sequences of three words agree (Jaccard similarity, estimated from 24
    minimum hashes; Broder 1997, "On the resemblance and containment of documents"). Digits do not count; a text of
    fewer than 12 words is not compared.

    Example:
        >>> share_alike(["a", "b", "c"], ["one two three four " * 4] * 2 + ["another text of other words " * 4])
        0.6666666666666666
    """
    frame = pl.DataFrame({"entity": entities, "text": texts}, {"entity": pl.String, "text": pl.String})
    long = frame.filter(pl.col("text").str.count_matches(r"\S+") >= WORDS_TO_COMPARE)
    if long.is_empty():
        return 0.0
    signatures = _signatures(long["text"].str.replace_all(r"\d+", ""))
    whose = long["entity"].rank("dense").to_numpy()
    alike = np.zeros(len(long), dtype=bool)
    for start in range(0, HASHES, BAND):
        bands = pl.DataFrame(signatures[:, start : start + BAND])
        first = bands.with_row_index("place").select(pl.col("place").first().over(bands.columns))["place"].to_numpy()
        others = np.flatnonzero(whose[first] != whose)  # snapshots of one user may well agree
        same = (signatures[first[others]] == signatures[others]).mean(axis=1) >= SAME
        alike[others[same]] = alike[first[others[same]]] = True
    return float(alike.sum() / len(texts))


def _signatures(texts: pl.Series) -> np.ndarray:
    """Return the minimum hashes of each text's sequences of three words: [n, HASHES] uint64."""
    seeds = np.random.default_rng(0).integers(0, 2**63, HASHES, dtype=np.uint64)
    signatures = np.zeros((len(texts), HASHES), dtype=np.uint64)
    for start in range(0, len(texts), HASHED_AT_ONCE):
        shingles, counts = _shingles(texts[start : start + HASHED_AT_ONCE])
        some = np.flatnonzero(counts)
        if not len(some):
            continue
        begins = (np.cumsum(counts) - counts)[some]
        for place, seed in enumerate(seeds):
            signatures[start + some, place] = np.minimum.reduceat(_mixed(shingles ^ seed), begins)
    return signatures


def _shingles(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Hash every sequence of three words of some texts: uint64, text after text, and their number in each text."""
    words = texts.str.to_lowercase().str.extract_all(r"\w+")
    counts = words.list.len().to_numpy().astype(np.int64)
    hashed, text = words.explode().drop_nulls().hash(0).to_numpy(), np.repeat(np.arange(len(counts)), counts)
    first, second, third = hashed[:-2], hashed[1:-1] + np.uint64(1), hashed[2:] + np.uint64(2)  # their order counts
    inside = text[:-2] == text[2:]
    return (_mixed(first) ^ _mixed(second) ^ _mixed(third))[inside], np.maximum(counts - 2, 0)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Scatter numbers over all of 64 bits, by the finaliser of SplitMix64 (Steele et al. 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _script(task: str, texts: pl.Series, most: float) -> Gate:
    ascii_only = ~texts.str.contains(r"[^\x00-\x7F]")  # letters of these are Latin, if there are any
    latin = int(texts.filter(ascii_only).str.contains("[A-Za-z]").sum())
    others = texts.filter(~ascii_only)
    counts = pl.DataFrame([others.str.count_matches(letters).alias(name) for name, letters in SCRIPTS.items()])
    main = Counter(max(row, key=lambda name: row[name]) for row in counts.iter_rows(named=True) if any(row.values()))
    main["Latin"] += latin
    usual, count = main.most_common(1)[0] if main.total() else ("no letters", 0)
    share = 1 - count / max(main.total(), 1)
    found = f"{share:.1%} of {len(texts):,} answers are not in {usual} letters, at most {most:.1%}"
    return Gate(f"{task} script", share <= most, found, setting="script")


def _thinking(task: str, rows: pl.DataFrame, texts: pl.Series, most: float) -> Gate:
    """Count answers that are nothing but thinking, which have no text, and texts with marks of thinking."""
    lacking = rows.filter(pl.col("text").is_null()) if "error" in rows.columns else rows.clear()
    empty = int(lacking["error"].str.starts_with("no_text").sum()) if len(lacking) else 0
    marked = int(texts.str.contains(THOUGHTS).sum())
    share = (empty + marked) / max(len(texts) + empty, 1)
    fix = "; switch thinking off, or raise sampling.max_tokens in the prompt" if share > most else ""
    found = (
        f"{share:.1%} of {len(texts) + empty:,} answers are thinking alone or hold its marks, at most {most:.1%}{fix}"
    )
    holds = share <= most or empty + marked < FEWEST  # in a small shop one answer is a large share
    return Gate(f"{task} thinking", holds, found, setting="thinking")


def _language(task: str, texts: pl.DataFrame, before: pl.DataFrame | None, most: float) -> Gate:
    """Compare the language of answers with the usual one: of the current release, or of the first release itself."""
    told, then = (_languages(of) if of is not None else Counter() for of in (texts, before))
    usual = next(iter((then or told).most_common(1)), ("a language", 0))[0]
    count = sum(told.values())
    share = 1 - told[usual] / count if count else 0.0
    other = next((f"; most of these: {name}" for name, _ in told.most_common(2) if name != usual), "")
    found = f"{share:.1%} of {count:,} answers are not in the usual language ({usual}"
    found += f"{other if share > most else ''}), at most {most:.1%}"
    return Gate(f"{task} language", share <= most, found, setting="language")


def _languages(texts: pl.DataFrame) -> Counter[str]:
    """Count the languages of some of the answers, the same ones each time; too short ones are left out."""
    chosen = texts.sort(pl.col("row").hash(0)).head(SAMPLED)["text"]
    return Counter(name for name in map(language_of, chosen) if name is not None)


def _length(task: str, texts: pl.Series, old: pl.Series, most: float) -> Gate:
    now, then = (max(float(np.median(of.str.len_chars().to_numpy())), 1.0) for of in (texts, old))
    found = f"{now:,.0f} characters in the middle, {then:,.0f} in the current release, at most {most:g} times apart"
    return Gate(f"{task} length", max(now / then, then / now) <= most, found, setting="length")
