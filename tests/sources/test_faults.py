"""Fault messages: what, where and how to fix it, aligned, and short however much is wrong."""

from dataclasses import replace

from sources.faults import SHOWN, Fault, SourceFaults


def fault(row=None, column=None, value=None, what="is wrong", file="events.csv", fix="fix it"):
    return Fault(file, row, column, value, what, fix)


def test_a_message_says_file_row_column_value_and_fix_in_aligned_columns():
    error = SourceFaults(
        [
            fault(17, "rating", "four", "is not a number", fix="write a number"),
            fault(512, "item", "8831", "is not in items.csv", fix="add it"),
            fault(None, "timestamp", None, "is missing", fix="name it"),
            fault(None, None, None, "there is no such file", file="users.csv", fix="fix the path"),
        ]
    )

    assert str(error) == (
        "events.csv: 3 faults, nothing was read\n"
        "  line 17   rating     'four'  is not a number\n"
        "  line 512  item       '8831'  is not in items.csv\n"
        "  column    timestamp          is missing\n"
        "  fix: write a number\n"
        "  fix: add it\n"
        "  fix: name it\n"
        "users.csv: 1 fault, nothing was read\n"
        "  there is no such file\n"
        "  fix: fix the path"
    )


def test_rows_can_be_left_out_only_when_nothing_else_is_wrong():
    advice = "fix the rows, or add to skip in knowflow.yaml to leave them out: bad_values"

    assert str(SourceFaults([fault(1, "a")])).endswith(advice)
    assert advice not in str(SourceFaults([fault(1, "a"), fault(None, "b")]))


def test_the_way_out_names_exactly_the_kinds_that_there_are_in_one_order():
    found = [replace(fault(row, "a"), kind=kind) for row, kind in enumerate(("broken_lines", "unknown_items"))]

    assert str(SourceFaults(found)).endswith("to leave them out: unknown_items, broken_lines")


def test_parquet_has_rows_text_files_have_lines_and_yaml_has_settings():
    shown = [fault(3, "a", file=file).cells()[0] for file in ("a.parquet", "a.csv", "a.jsonl")]

    assert shown == ["row 3", "line 3", "line 3"]
    assert fault(None, "events.time", file="knowflow.yaml").cells()[0] == "setting"


def test_a_hundred_thousand_faults_make_a_short_message_with_exact_counts():
    rows = range(2, 100_002)
    found = [fault(row, "rating", "x", "is not a number") for row in rows] + [fault(9, "item", None, "is empty")]

    lines = str(SourceFaults(found)).splitlines()

    assert lines[0] == "events.csv: 100,001 faults, nothing was read"
    assert lines[SHOWN + 1] == f"  ... and {100_000 - SHOWN:,} more like it"
    assert lines[SHOWN + 2].split() == ["line", "9", "item", "is", "empty"]
    assert len(lines) == SHOWN + 5


def test_exactly_as_many_faults_as_are_shown_need_no_rest():
    lines = str(SourceFaults([fault(row, "a") for row in range(SHOWN)])).splitlines()

    assert not any("more like it" in line for line in lines)


def test_a_long_value_is_cut_and_a_line_end_in_it_does_not_break_the_line():
    cut = fault(1, "a", "x" * 1000).cells()[2]

    assert cut == repr("x" * 29 + "…")
    assert fault(1, "a", "two\nlines").cells()[2] == r"'two\nlines'"


def test_the_faults_themselves_stay_with_the_error():
    found = (fault(1, "a"), fault(2, "b"))

    assert SourceFaults(iter(found)).faults == found
