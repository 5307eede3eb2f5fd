"""Names in texts: which items a text names, whatever the case, the accents and the marks around the words.

Texts become words with blanks between them, so that `Heat (1995): 4`, `HEAT, 1995` and `heat 1995` are one name. A name
of one word is found only where marks or line ends stand on both sides, as in a list: `It` is a film and a word.
All names are looked for in one pass (Aho-Corasick in Polars), and what is found is a table to be joined.
"""

import polars as pl

MARKS = r"[^\p{L}\p{N}_]*[;,:|/()\[\]\"\t\r\n<>=!?*•–—][^\p{L}\p{N}_]*"
"""What stands between the parts of a list."""
SCRIPTS_WITHOUT_BLANKS = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}])"
FIELDS = ("name", "title", "described", "says")
"""Columns of items in which a name may rightly stand."""
MENTIONS = pl.Schema({"place": pl.UInt32, "pattern": pl.String})
ONE_WORD = " | "
"""How the pattern of a name of one word begins."""
NEVER = " \N{NULL} "
"""No text holds this."""


def words(text: pl.Expr) -> pl.Expr:
    """Bring texts to words, two blanks between them and around all; ` | ` where marks part them.

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
    """Take the marks out of what `words` made."""
    return parted.str.replace_all(r"(?:  \|)+  ", "  ")


def as_pattern(name: pl.Expr) -> pl.Expr:
    """What is looked for to find a name: its words, or one word between marks; null where it has no word at all.

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
    """The names by which items may be called: as a history calls them, and their titles.

    Args:
        items: item, name, title.

    Returns:
        pattern, item; a pattern that names several items stands once for each.
    """
    named = pl.concat([items.select(pl.col(column).alias("name"), "item") for column in ("name", "title")])
    return named.select(as_pattern(pl.col("name")).alias("pattern"), "item").drop_nulls().unique(maintain_order=True)


def mentions(texts: pl.Series, patterns: pl.Series) -> pl.DataFrame:
    """Find patterns in texts.

    Args:
        texts: [n] String.
        patterns: Distinct, from `as_pattern`.

    Returns:
        place (among the texts), pattern; a pair stands once, however often the text has it.
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
    """How often a text holds a name; both are texts as they stand."""
    pattern = as_pattern(name).fill_null(NEVER)
    return _where(text, pattern).str.count_matches(pattern, literal=True)


def holds(text: pl.Expr, pattern: pl.Expr) -> pl.Expr:
    """Whether a text as it stands holds a pattern."""
    return _where(text, pattern).str.contains(pattern, literal=True)


def _where(text: pl.Expr, pattern: pl.Expr) -> pl.Expr:
    """The words of a text in which a pattern is looked for; neighbours in a list have a mark each."""
    parted = words(text)
    apart = parted.str.replace_all("  |  ", "  |    |  ", literal=True)
    return pl.when(pattern.str.starts_with(ONE_WORD)).then(apart).otherwise(unmarked(parted))
