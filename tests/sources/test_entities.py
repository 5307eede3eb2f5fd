"""Tables of items: ids that repeat, titles of several columns, and long form."""

import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.config import parse_source_config
from sources.faults import KINDS, SourceFaults

SALES = (
    "invoice,code,text,when,price,tags,customer\n"
    "1,85120A,,2010-12-01 08:26,,,7\n"
    "1,85121A,MUG,2010-12-01 08:27,2.5,kitchen,8\n"
    "2,85120A,LAMP,2010-12-02 08:26,3.5,,7\n"
    "2,85120A,OLD LAMP,2010-12-02 08:28,4.5,light|old,8\n"
)
ONE_FILE = {
    "events": {"path": "sales.csv", "user": "customer", "item": "code", "time": "when", "rating": "invoice"},
    "items": {"path": "sales.csv", "id": "code", "title": "text", "categories": ["tags"], "numbers": ["price"]},
    "label": {"rating_at_least": 1},
}


def one_file(**items):
    return {**ONE_FILE, "items": {**ONE_FILE["items"], "repeated": "first", **items}}


def test_items_are_made_of_the_events_own_rows_with_the_first_filled_value_of_each_field(source):
    source.write("sales.csv", SALES)

    dataset = source.load(**one_file())

    assert dataset.items.rows() == [("85120A", "LAMP", ["light", "old"], 3.5), ("85121A", "MUG", ["kitchen"], 2.5)]
    assert dataset.events["item"].to_list() == ["85120A", "85121A", "85120A", "85120A"]


def test_an_id_in_several_rows_is_a_fault_that_names_the_setting(source):
    source.write("sales.csv", SALES)

    message = source.message(**one_file(repeated="refuse", title="code"))

    assert "line 4  code  '85120A'  appears more than once" in message
    assert "fix: keep one row per id, or set items.repeated: first to take the first filled value" in message


def test_users_may_repeat_too(source):
    source.write("users.csv", "id,age\n1,\n2,30\n1,20\n1,21\n")

    dataset = source.load(users={"path": "users.csv", "id": "id", "numbers": ["age"], "repeated": "first"})

    assert dataset.users is not None
    assert dataset.users.rows() == [("1", 20.0), ("2", 30.0)]


def test_the_first_filled_column_of_a_list_is_the_title(source):
    source.write("items.csv", "id,caption,name\n9,,Heat\n10,The film,Fargo\n")

    assert source.load(items={"title": ["caption", "name", "id"]}).items["title"].to_list() == ["Heat", "The film"]


def test_of_repeated_rows_a_later_caption_goes_before_an_earlier_name(source):
    source.write("items.csv", "id,caption,name\n9,,Heat\n10,The film,Fargo\n9,Crime,\n")

    dataset = source.load(items={"title": ["caption", "name"], "repeated": "first"})

    assert dataset.items.rows() == [("9", "Crime"), ("10", "The film")]


@pytest.mark.parametrize(
    ("title", "what"), [("caption", "is empty"), (["caption", "name"], "is empty and so is 'name'")]
)
@pytest.mark.parametrize("repeated", ["refuse", "first"])
def test_an_item_without_any_title_is_one_fault(source, title, what, repeated):
    source.write("items.csv", "id,caption,name\n9,Heat,Heat\n10,,\n")

    message = source.message(items={"title": title, "repeated": repeated})

    assert message.splitlines()[:2] == ["items.csv: 1 fault, nothing was read", f"  line 3  caption  {what}"]


def test_a_missing_column_of_the_title_is_the_only_fault_of_it(source):
    message = source.message(items={"title": ["titel", "titles"]})

    assert message.splitlines()[:3] == [
        "items.csv: 2 faults, nothing was read",
        "  column  titel   is missing; did you mean 'title'?",
        "  column  titles  is missing; did you mean 'title'?",
    ]


def test_an_empty_list_of_titles_is_refused(source):
    with pytest.raises(SourceFaults, match=r"items\.title"):
        source.config(items={"title": []})


def test_skipping_uses_the_rows_without_faults_and_leaves_out_events_of_items_that_have_no_title(source, caplog):
    source.write("items.csv", "id,title,year\n9,Old Heat,soon\n9,Heat,1995\n10,,1996\n10,,1997\n")

    with caplog.at_level(logging.WARNING, logger="sources"):
        dataset = source.load(skip=KINDS, items={"numbers": ["year"], "repeated": "first"})

    assert dataset.items.rows() == [("9", "Heat", 1995.0)]
    assert dataset.events["item"].to_list() == ["9"]
    assert "events.csv: left out 2 rows whose item was left out of items.csv" in caplog.messages


def test_a_table_in_long_form_cannot_be_told_to_repeat(tmp_path):
    long = {"name": "property", "value": "value"}
    items = {**ONE_FILE["items"], "repeated": "first", "long": long}

    with pytest.raises(SourceFaults, match="a table in long form repeats every id: leave out `repeated`"):
        parse_source_config({**ONE_FILE, "items": items}, tmp_path / "knowflow.yaml")


LONG = {"items": {"path": "long.csv", "long": {"name": "property", "value": "value", "time": "since"}}}
PROPERTIES = (
    "since,id,property,value\n"
    "1600000300,9,price,7\n"
    "1600000100,9,price,5\n"
    "1600000100,10,name,Fargo\n"
    "1600000200,9,price,6\n"
    "1600000100,9,kinds,Crime|Drama\n"
    "1600000100,10,price,\n"
    "1600000100,10,unmapped,x\n"
    "1600000050,11,unmapped,x\n"
)


def long(**fields):
    return {"items": {**LONG["items"], "title": ["name", "id"], "numbers": ["price"], **fields}}


def test_of_a_table_in_long_form_the_earliest_value_of_a_property_counts(source):
    source.write("long.csv", PROPERTIES)

    dataset = source.load(**long(categories=["kinds"]))

    assert dataset.items.rows() == [
        ("9", "9", ["Crime", "Drama"], 5.0),
        ("10", "Fargo", [], None),
        ("11", "11", [], None),
    ]


def test_without_times_the_first_row_of_a_property_counts(source):
    source.write("long.csv", PROPERTIES)

    dataset = source.load(**long(long={"name": "property", "value": "value"}))

    assert dataset.items["price"].to_list() == [7.0, None, None]


def test_parts_of_a_long_table_are_one_and_a_wrong_value_is_named_with_its_own_line(source):
    (source.folder / "long").mkdir()
    head, *rows = PROPERTIES.splitlines(keepends=True)
    source.write("long/a.csv", head + "".join(rows[:3]))
    source.write("long/b.csv", head + "".join(rows[3:]))

    assert source.load(**long(path="long/*.csv")).items["price"].to_list() == [5.0, None, None]
    source.write("long/b.csv", head + "".join(rows[3:]) + "1600000000,9,price,free\n")
    message = source.message(**long(path="long/*.csv"))
    assert "line 7  price  'free'  is not a number (in b.csv)" in message


def test_wrong_names_of_a_long_table_are_told_once_each(source):
    source.write("long.csv", PROPERTIES)

    assert source.message(**long(numbers=["prise"])).splitlines()[1] == (
        "  column  prise  is missing; did you mean 'price'?"
    )
    assert source.message(**long(id="item")).splitlines()[:2] == [
        "long.csv: 1 fault, nothing was read",
        "  column  item  is missing; there are 'since', 'id', 'property', 'value'",
    ]


def test_rows_of_a_long_table_with_faults_take_no_part(source):
    source.write("long.csv", PROPERTIES + "soon,9,price,1\n1600000000,,price,2\n1600000000,9,,3\n")

    assert "long.csv: 3 faults" in source.message(**long())
    assert source.load(skip=KINDS, **long()).items["price"].to_list() == [5.0, None, None]


def test_a_table_that_looks_like_long_form_is_told_so(source):
    source.write("long.csv", "time,id,property,value\n" + "".join(f"1,{n},{p},x\n" for n in (9, 10) for p in "abc"))

    message = source.message(items={"path": "long.csv", "title": "value"})

    assert "looks like long form, one property a row: set items.long: {name: ..., value: ...}" in message


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from("abc"), st.integers(0, 5), st.integers(0, 9)), min_size=1))
def test_a_long_table_is_what_a_walk_over_its_rows_would_make_of_it(source, rows):
    source.write("events.csv", f"user,item,time,rating\n1,{rows[0][0]},1,4\n")
    source.write("long.csv", "since,id,property,value\n" + "".join(f"{t},{i},{p},{v}\n" for i, p, t, v in rows))
    best: dict[tuple[int, str], tuple[int, int]] = {}
    for item, name, time, value in rows:
        if (item, name) not in best or time < best[item, name][0]:
            best[item, name] = (time, value)
    mapped = sorted({name for _, name, _, _ in rows} & {"a", "b"})

    items = source.load(**long(title="id", numbers=mapped)).items

    assert {(int(row["item"]), name): row[name] for row in items.to_dicts() for name in mapped} == {
        (item, name): best[item, name][1] if (item, name) in best else None for item, *_ in rows for name in mapped
    }
