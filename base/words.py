"""Words that several rooms say alike."""


def count_rows(count: int) -> str:
    """Format a number of rows.

    Example:
        >>> count_rows(1), count_rows(3200)
        ('1 row', '3,200 rows')
    """
    return f"{count:,} row" + ("" if count == 1 else "s")
