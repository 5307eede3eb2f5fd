"""Convert columns of any type to canonical ones: ids, numbers, texts, categories."""

import polars as pl

from sources.list_text import as_lists

WHOLE, WHOLE_FLOAT = r"^(0|-?[1-9]\d*)(\.0+)?$", r"\.0+$"
"""Whole numbers without leading zeros, and those that are written as floats."""
MARKS = ("NULL", "null", "\\N", "NaN", "nan", "None", "N/A", "#N/A", "<NA>")
"""Texts that mean a missing value, in every column."""
VALUE_MARKS = (*MARKS, "NA", "na", "n/a", "none", "-", "?")
"""Texts that mean a missing number or time; as a text or an id they may be a value."""
MONEY = r"[$€£¥₹₽₩\s\u00a0]|^(usd|eur|gbp|chf|inr|jpy|cny|rub)|(usd|eur|gbp|chf|inr|jpy|cny|rub|zł|kr)$"
"""Signs of money around a number, in lower case."""


def unusable(column: pl.Series, lists: bool = False) -> str | None:
    """Return why a column of this type cannot be read; None if it can.

    Args:
        column: The column as stored in the file.
        lists: Whether lists are allowed, as for categories.
    """
    kind = column.dtype
    inner = kind.inner if isinstance(kind, pl.List | pl.Array) else kind
    if kind.is_nested() and not isinstance(kind, pl.List | pl.Array):
        return "holds objects, not single values"
    if kind is not inner and not lists:
        return "holds lists, not single values; a list can be a category"
    if inner.is_nested() or isinstance(inner, pl.Object | pl.Duration | pl.Unknown):
        return f"holds values of type {inner}, which cannot be read"
    if isinstance(inner, pl.Binary):
        try:
            column.cast(pl.List(pl.String) if kind is not inner else pl.String)
        except pl.exceptions.PolarsError:
            return "holds bytes that are not UTF-8 text"
    return None


def plain(column: pl.Series) -> pl.Series:
    """Return the same values for every storage type: blank text, NaN and marks of missing values become null,
    single-precision 4.1 stays 4.1.

    Example:
        >>> plain(pl.Series(["a", " ", ""])).to_list()
        ['a', None, None]
    """
    kind = column.dtype
    if isinstance(kind, pl.Decimal):  # a database's whole number may have more digits than a float
        return column.cast(pl.String if kind.scale == 0 else pl.Float64)
    if isinstance(kind, pl.Float32):
        column = column.cast(pl.String).cast(pl.Float64)
    if column.dtype.is_float():
        return column.cast(pl.Float64).fill_nan(None)
    if kind.is_numeric() or kind.is_temporal() or isinstance(kind, pl.Boolean):
        return column
    if isinstance(kind, pl.List | pl.Array):
        return column.cast(pl.List(pl.String))
    text = column.cast(pl.String)
    bare = text.str.strip_chars()
    return text.set((bare == "") | bare.is_in(MARKS), None)


def without_marks(column: pl.Series) -> pl.Series:
    """Return values with null instead of the texts that mean a missing number or time."""
    is_text = isinstance(column.dtype, pl.String)
    return column.set(column.str.strip_chars().is_in(VALUE_MARKS), None) if is_text else column


def to_text(column: pl.Series) -> pl.Series:
    """Convert values to text."""
    return plain(column).cast(pl.String)


def to_id(column: pl.Series) -> pl.Series:
    """Convert ids to whole numbers if all of them are, else to text, so that 10 sorts after 9 in every file format.

    A text is a whole number if the conversion keeps it the same: '007' stays text. A whole float loses its '.0',
    because a table with a missing id has floats; so does a text, if all texts are whole.
    """
    column = plain(column)
    text = column.cast(pl.String)
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        text = whole.cast(pl.String).zip_with((whole.cast(pl.Float64) == column).fill_null(value=False), text)
    elif text.str.contains(WHOLE_FLOAT).any() and (text.str.contains(WHOLE) | text.is_null()).all():
        text = text.str.replace(r"\.0+$", "")
    numbers = text.cast(pl.Int64, strict=False)
    alike = numbers.cast(pl.String) == text
    return numbers if (alike.fill_null(value=False) | text.is_null()).all() else text


def to_number(column: pl.Series, decimal_comma: bool = False) -> tuple[pl.Series, pl.Series]:
    """Convert values to Float64, true to 1 and false to 0; also return a mask of values that are not finite numbers.

    Args:
        column: The values; texts may have a sign of money and separated thousands.
        decimal_comma: Whether `1,5` is one and a half.

    Example:
        >>> to_number(pl.Series(["4", "$1,099.00", "1.099,00 €", "4,5"]))[0].to_list()
        [4.0, 1099.0, 1099.0, None]
        >>> to_number(pl.Series(["4,5", "1.099"]), decimal_comma=True)[0].to_list()
        [4.5, 1099.0]
    """
    column = plain(column)
    if isinstance(column.dtype, pl.String):
        column = without_marks(column)
        text = column.str.strip_chars().str.to_lowercase().replace({"true": "1", "false": "0"})
        numbers = text.cast(pl.Float64, strict=False)
        if decimal_comma or numbers.null_count() > text.null_count():
            numbers = _written_number(text, numbers, decimal_comma)
    elif column.dtype.is_temporal():  # a date is not a number, although it is stored as one
        numbers = pl.Series([None] * len(column), dtype=pl.Float64)
    else:
        numbers = column.cast(pl.Float64)
    finite = numbers.is_finite().fill_null(value=False)
    return numbers.set(~finite, None), ~finite & column.is_not_null()


def _written_number(text: pl.Series, numbers: pl.Series, decimal_comma: bool) -> pl.Series:
    """Read numbers with separated thousands, a decimal comma or a sign of money."""
    bare = text.str.replace_all(MONEY, "")
    point = r"^[-+]?\d{1,3}(,\d{3})+(\.\d+)?$"
    comma = r"^[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+$" if decimal_comma else r"^[-+]?\d{1,3}(\.\d{3})+,\d+$"
    thousands = decimal_comma and bool(bare.str.contains(comma).any())  # 1.099 beside 4,5 is a thousand
    as_comma = bare.str.contains(comma) | (bare.str.contains(r"^[-+]?\d{1,3}(\.\d{3})+$") & thousands)
    with_money = (bare != text) & bare.str.contains(r"^[-+]?\d+,\d{1,2}$")
    of_comma = bare.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    of_point = bare.str.replace_all(",", "", literal=True)
    frame = pl.DataFrame({"n": numbers, "comma": as_comma | with_money, "point": bare.str.contains(point)})
    read = pl.DataFrame({"c": of_comma, "p": of_point, "b": bare}).with_columns(pl.all().cast(pl.Float64, strict=False))
    chosen = pl.when("comma").then(pl.col("c")).when(pl.col("n").is_not_null()).then(pl.col("n"))
    chosen = chosen.when("point").then(pl.col("p")).otherwise(pl.col("b"))
    return pl.concat([frame, read], how="horizontal").select(chosen.alias("n")).to_series()


def to_categories(column: pl.Series, separator: str) -> pl.Series:
    """Convert values to lists of non-blank texts; null becomes an empty list.

    Texts that are all written as lists (`['a', 'b']`) are read as such; other texts are split at the separator.

    Example:
        >>> to_categories(pl.Series(["['a', 'b']", "[8]"]), "|").to_list()
        [['a', 'b'], ['8']]
    """
    column = plain(column)
    if isinstance(column.dtype, pl.List):
        lists = column
    else:
        texts = column.cast(pl.String)
        written = as_lists(texts)
        lists = texts.str.split(separator) if written is None else written
    trimmed = lists.list.eval(pl.element().str.strip_chars())
    return trimmed.list.eval(pl.element().filter(pl.element().is_not_null() & (pl.element() != ""))).fill_null([])
