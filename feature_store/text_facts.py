"""What the gates look at in an answer: pure functions of its text, so that they are found once for each text.

Signatures are minimum hashes (Broder 1997, "On the resemblance and containment of documents").
"""

import numpy as np
import polars as pl

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
WORDS_TO_COMPARE = 12
"""Shorter answers, such as a category, may well be the same for many: they have no signature."""
HASHES = 24
"""Minimum hashes of a text."""
HASHED_AT_ONCE = 100_000
"""Texts hashed at once, so that memory does not grow with their number."""
SIGNATURE = pl.Array(pl.UInt32, HASHES)
FACTS = pl.Schema(
    {
        "text_key": pl.String,
        "refused": pl.Boolean,
        "marked": pl.Boolean,
        "script": pl.String,
        "chars": pl.UInt32,
        "signature": SIGNATURE,
        "language": pl.String,
    }
)
"""Key of a text; whether it is a refusal, and holds marks of thinking; the script of most of its letters, null without
letters; its length; its signature, null for a short text; its language, empty if it has too few words to tell and null
if nobody has looked."""


def find_facts(texts: pl.DataFrame) -> pl.DataFrame:
    """Return the facts of some texts, without their languages.

    Args:
        texts: text_key and text.

    Returns:
        `FACTS`, in the same order.
    """
    text = texts["text"]
    found = texts.select(
        "text_key",
        refused=excuses(text),
        marked=text.str.contains(THOUGHTS),
        script=_scripts(text),
        chars=text.str.len_chars(),
        signature=signatures(text),
    )
    return found.with_columns(language=pl.lit(None, pl.String)).cast(FACTS)


def find_languages(texts: pl.Series) -> pl.Series:
    """Return the language of each text; empty for a text that has too few words to tell.

    Example:
        >>> find_languages(pl.Series(["A warm film about two friends who want to rob the bank.", "No"])).to_list()
        ['English', '']
    """
    return pl.Series(texts.name, [language_of(text) or "" for text in texts], dtype=pl.String)


def excuses(texts: pl.Series) -> pl.Series:
    """Return for each answer whether it is a refusal or an excuse.

    Example:
        >>> excuses(pl.Series(["I'm sorry, but as an AI I cannot help.", "A sorry tale of two thieves."])).to_list()
        [True, False]
    """
    return texts.str.slice(0, 300).str.contains(EXCUSE)


def _scripts(texts: pl.Series) -> pl.Series:
    """Return the script of most letters of each text; null for a text without letters."""
    ascii_only = ~texts.str.contains(r"[^\x00-\x7F]")  # letters of these are Latin, if there are any
    latin = pl.select(pl.when(ascii_only & texts.str.contains("[A-Za-z]")).then(pl.lit("Latin"))).to_series()
    others = texts.filter(~ascii_only)
    if others.is_empty():
        return latin
    counts = np.stack([others.str.count_matches(letters).to_numpy() for letters in SCRIPTS.values()], axis=1)
    most = pl.Series(list(SCRIPTS)).gather(counts.argmax(axis=1))
    of_others = pl.select(pl.when(pl.Series(counts.max(axis=1) > 0)).then(most)).to_series()
    return latin.scatter((~ascii_only).arg_true(), of_others)


def signatures(texts: pl.Series) -> pl.Series:
    """Return the minimum hashes of each text's sequences of three words, without digits; null for a short text.

    Example:
        >>> signatures(pl.Series(["one two three four " * 4, "short"])).is_null().to_list()
        [False, True]
    """
    long = texts.str.count_matches(r"\S+") >= WORDS_TO_COMPARE
    hashed = pl.Series(_hashed(texts.filter(long).str.replace_all(r"\d+", "")), dtype=SIGNATURE)
    place = pl.select(pl.when(long).then(long.cum_sum() - 1)).to_series()
    return hashed.gather(place)


def _hashed(texts: pl.Series) -> np.ndarray:
    """Return the minimum hashes of each text: [n, HASHES] uint32, the lower halves of hashes of 64 bits."""
    seeds = np.random.default_rng(0).integers(0, 2**63, HASHES, dtype=np.uint64)
    hashed = np.zeros((len(texts), HASHES), dtype=np.uint32)
    for start in range(0, len(texts), HASHED_AT_ONCE):
        shingles, counts = _shingles(texts[start : start + HASHED_AT_ONCE])
        some = np.flatnonzero(counts)
        if not len(some):
            continue
        begins = (np.cumsum(counts) - counts)[some]
        for place, seed in enumerate(seeds):
            least = np.minimum.reduceat(mixed(shingles ^ seed), begins)
            hashed[start + some, place] = least.astype(np.uint32)  # two of the same half: once in four billion
    return hashed


def _shingles(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Hash every sequence of three words of some texts: uint64, text after text, and their number in each text."""
    words = texts.str.to_lowercase().str.extract_all(r"\w+")
    counts = words.list.len().to_numpy().astype(np.int64)
    hashed, text = words.explode().drop_nulls().hash(0).to_numpy(), np.repeat(np.arange(len(counts)), counts)
    first, second, third = hashed[:-2], hashed[1:-1] + np.uint64(1), hashed[2:] + np.uint64(2)  # their order counts
    inside = text[:-2] == text[2:]
    return (mixed(first) ^ mixed(second) ^ mixed(third))[inside], np.maximum(counts - 2, 0)


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Scatter numbers over all of 64 bits, by the finaliser of SplitMix64 (Steele et al. 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
