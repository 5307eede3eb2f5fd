"""Find which items a text names, whatever the case, accents and marks around the words.

Texts become words separated by spaces, so that `Heat (1995): 4`, `HEAT, 1995` and `heat 1995` are one name. A name of
one word is found only with marks or line ends on both sides, as in a list: `It` is a film and a word.
All names are searched in one pass (Aho-Corasick in Polars), and the result is a table to join.
"""

import polars as pl

MARKS = r"[^\p{L}\p{N}_]*[;,:|/()\[\]\"\t\r\n<>=!?*•–—][^\p{L}\p{N}_]*"
"""Separators between the parts of a list."""
SCRIPTS_WITHOUT_BLANKS = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}])"
FIELDS = ("name", "title", "described", "says")
"""Columns of items that may legitimately contain a name."""
MENTIONS = pl.Schema({"place": pl.UInt32, "pattern": pl.String})
ONE_WORD = " | "
"""Prefix of the pattern of a one-word name."""
NEVER = " \N{NULL} "
"""A pattern that no text contains."""


def words(text: pl.Expr) -> pl.Expr:
    """Split texts into words, with two spaces between and around them; ` | ` where marks separate them.

    A number keeps its decimals: 4.5 is not 4.

    Example:
        >>> texts = pl.DataFrame({"text": ["Amélie (2001): 4.5; It"]})
        >>> texts.select(words(pl.col("text")))["text"][0]
        '  |  amelie  |  2001  |  4_5  |  it  |  '
    """
    plain = text.str.normalize("NFKD").str.replace_all(r"\p{M}", "").str.to_lowercase().str.replace_all("_", " ")
    plain = plain.str.replace_all(r"(\d)\.(\d)", "${1}_${2}").str.replace_all(SCRIPTS_WITHOUT_BLANKS, " $1 ")
    parted = pl.format("\n{}\n", plain).str.replace_all(MARKS, " | ").str.replace_all(r"[^\p{L}\p{N}_|]+", "  ")
    return parted.str.replace_all(r"(?:\|  )+", "|  ")


def unmarked(parted: pl.Expr) -> pl.Expr:
    """Remove the marks from the output of `words`."""
    return parted.str.replace_all(r"(?:  \|)+  ", "  ")


def as_pattern(name: pl.Expr) -> pl.Expr:
    """Return the pattern of a name: its words, or one word between marks; null if it has no word.

    Example:
        >>> names = pl.DataFrame({"name": ["Heat (1995)", "It", "!!"]})
        >>> names.select(as_pattern(pl.col("name")))["name"].to_list()
        [' heat  1995 ', ' |  it  | ', None]
    """
    plain = unmarked(words(name)).str.strip_chars(" ")
    several = plain.str.contains("  ", literal=True)
    found = pl.when(several).then(pl.format(" {} ", plain)).otherwise(pl.format(" |  {}  | ", plain))
    return pl.when(plain.str.len_chars() > 0).then(found)


def item_patterns(items: pl.DataFrame) -> pl.DataFrame:
    """Return the names of items: as in a history, and their titles.

    Args:
        items: item, name, title.

    Returns:
        pattern, item; a pattern that names several items has one row for each.
    """
    named = pl.concat([items.select(pl.col(column).alias("name"), "item") for column in ("name", "title")])
    named = named.unique(maintain_order=True)  # most are called by their titles
    return named.select(as_pattern(pl.col("name")).alias("pattern"), "item").drop_nulls().unique(maintain_order=True)


def mentions(texts: pl.Series, patterns: pl.Series) -> pl.DataFrame:
    """Find patterns in texts.

    Args:
        texts: [n] String.
        patterns: Distinct, from `as_pattern`.

    Returns:
        place (index of the text), pattern; each pair once, however often the text contains it.
    """
    if patterns.is_empty() or texts.is_empty():
        return pl.DataFrame(schema=MENTIONS)
    one_word = patterns.str.starts_with(ONE_WORD)
    parted = texts.alias("words").to_frame().select(words(pl.col("words").fill_null(""))).with_row_index("place")
    found = [pl.DataFrame(schema=MENTIONS)]
    for some, there in (
        (patterns.filter(~one_word), unmarked(pl.col("words"))),
        (patterns.filter(one_word), pl.col("words")),
    ):
        if len(some):
            listed = there.str.extract_many(some.to_list(), overlapping=True).list.unique()
            hits = parted.select("place", listed.alias("pattern")).explode("pattern").drop_nulls()
            found.append(hits.cast(MENTIONS))
    return pl.concat(found).sort("place", "pattern")


def times_named(text: pl.Expr, name: pl.Expr) -> pl.Expr:
    """Count how often a text contains a name; both are raw texts."""
    pattern = as_pattern(name).fill_null(NEVER)
    return _where(text, pattern).str.count_matches(pattern, literal=True)


def holds(text: pl.Expr, pattern: pl.Expr) -> pl.Expr:
    """Return whether a raw text contains a pattern."""
    return _where(text, pattern).str.contains(pattern, literal=True)


def _where(text: pl.Expr, pattern: pl.Expr) -> pl.Expr:
    """Return the words of a text to search for a pattern; neighbours in a list get a mark each."""
    parted = words(text)
    apart = parted.str.replace_all("  |  ", "  |    |  ", literal=True)
    return pl.when(pattern.str.starts_with(ONE_WORD)).then(apart).otherwise(unmarked(parted))
