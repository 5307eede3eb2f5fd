"""The mapping: everything that is wrong with it is told at once, each with the setting and what to do."""

import pytest

from sources.config import (
    EventsConfig,
    HistoryConfig,
    ImpressionsConfig,
    ItemsConfig,
    LabelConfig,
    QueriesConfig,
    SourceConfig,
    SplitConfig,
    parse_source_config,
)
from sources.faults import SourceFaults

EVENTS = {"path": "e.csv", "user": "u", "item": "i", "time": "t", "label": "l"}
ITEMS = {"path": "i.csv", "id": "i", "title": "t"}


def faults(tmp_path, **mapping):
    with pytest.raises(SourceFaults) as caught:
        parse_source_config({"events": EVENTS, "items": ITEMS, **mapping}, tmp_path / "knowflow.yaml")
    return {fault.column: fault.what for fault in caught.value.faults}


def test_everything_wrong_with_the_mapping_is_told_at_once(tmp_path):
    mapping = {
        "events": {"path": "e.csv", "user": "u", "item": 7, "rating": "r", "tme": "t"},
        "items": {
            "path": "i.csv",
            "id": "i",
            "title": "t",
            "texts": ["title"],
            "numbers": {"user": "u", "item": "i"},
            "categories": [{"genres": "g"}],
            "separator": "",
        },
        "users": [],
        "queries": {"path": "q.csv"},
        "split": {"by": "random", "train": 0.9, "validation": 0.2},
        "history": {"length": 0},
    }

    with pytest.raises(SourceFaults) as caught:
        parse_source_config(mapping, tmp_path / "knowflow.yaml")

    assert str(caught.value) == (
        "knowflow.yaml: 13 faults, nothing was read\n"
        "  setting  events.item            should be a valid string, not 7\n"
        "  setting  events.time            is missing\n"
        "  setting  events.tme             is not a setting there; did you mean 'time'?\n"
        "  setting  items.texts            'title' is one of KnowFlow's own columns, give the field another name\n"
        "  setting  items.categories       should be a list of columns, or `field: column` pairs without dashes\n"
        "  setting  items.numbers          'user' is one of KnowFlow's own columns, give the field another name; "
        "'item' is one of KnowFlow's own columns, give the field another name\n"
        "  setting  items.separator        should have at least 1 character, not ''\n"
        "  setting  users                  should hold settings\n"
        "  setting  queries.query          is missing\n"
        "  setting  split.by               should be 'user_position' or 'global_time', not 'random'\n"
        "  setting  split.validation       leaves no events for the test: split.train + split.validation should be below 1\n"
        "  setting  history.length         should be greater than or equal to 1, not 0\n"
        "  setting  label.rating_at_least  is missing; set it to the smallest rating that counts as liked\n"
        "  fix: edit knowflow.yaml; docs/reference/knowflow-yaml.md lists every setting"
    )


def test_a_missing_section_is_told(tmp_path):
    with pytest.raises(SourceFaults, match=r"setting  events  is missing\n  setting  items   is missing"):
        parse_source_config({}, tmp_path / "knowflow.yaml")


@pytest.mark.parametrize("name", ["item", "title", "user"])
@pytest.mark.parametrize("kind", ["texts", "categories", "numbers"])
@pytest.mark.parametrize("section", ["items", "users"])
def test_a_field_is_not_called_like_a_column_of_the_documented_tables(tmp_path, section, kind, name):
    mapping = {section: {**ITEMS, kind: {name: "column"}}}
    if section == "users":
        del mapping["users"]["title"]

    what = f"'{name}' is one of KnowFlow's own columns, give the field another name"
    assert faults(tmp_path, **mapping) == {f"{section}.{kind}": what}


def test_a_field_has_one_kind(tmp_path):
    items = {**ITEMS, "texts": ["plot", "genres"], "categories": ["genres"], "numbers": {"plot": "p", "year": "y"}}

    assert faults(tmp_path, items=items) == {
        "items.categories": "'genres' is already a field of another kind, give one of them another name",
        "items.numbers": "'plot' is already a field of another kind, give one of them another name",
    }


def test_a_column_may_be_called_so_when_its_field_is_called_otherwise(tmp_path):
    items = {**ITEMS, "texts": {"title_again": "title"}}

    config = parse_source_config({"events": EVENTS, "items": items}, tmp_path / "knowflow.yaml")

    assert config.items.texts == {"title_again": "title"}


def test_a_list_of_fields_keeps_the_names_of_the_columns(tmp_path):
    items = {**ITEMS, "texts": ["plot"], "categories": ["genres"], "numbers": {"year": "released"}}

    config = parse_source_config({"events": EVENTS, "items": items}, tmp_path / "knowflow.yaml")

    assert (config.items.texts, config.items.categories) == ({"plot": "plot"}, {"genres": "genres"})
    assert config.items.numbers == {"year": "released"}


@pytest.mark.parametrize("both", [{"rating": "r"}, {"label": None}, {"impressions": {}}])
def test_events_have_one_source_of_labels(tmp_path, both):
    label = {"rating_at_least": 4}

    found = faults(tmp_path, events={**EVENTS, **both}, label=label)

    assert found == {
        "events.label": "set exactly one of events.rating, events.label and events.impressions; or for a log of "
        "positives only set none of them, and label.negatives: {per_positive: 4}"
    }


@pytest.mark.parametrize("label", [{}, {"rating_at_least": None}, {"rating_range": [1, 5]}])
def test_a_rating_needs_a_rule_that_makes_it_a_label(tmp_path, label):
    events = {**EVENTS, "label": None, "rating": "r"}

    found = faults(tmp_path, events=events, label=label)

    assert found == {"label.rating_at_least": "is missing; set it to the smallest rating that counts as liked"}


@pytest.mark.parametrize(
    ("label", "setting", "what"),
    [
        ({"rating_range": [5, 1]}, "label.rating_range", "should be [smallest, largest]"),
        ({"rating_range": [1, 1]}, "label.rating_range", "should be [smallest, largest]"),
        (
            {"rating_at_least": 4, "rating_range": [0, 1]},
            "label.rating_range",
            "does not include label.rating_at_least, which is 4",
        ),
        ({"rating_at_least": float("nan")}, "label.rating_at_least", "should be a finite number, not nan"),
        ({"rating_range": [1, float("nan")]}, "label.rating_range", "should be [smallest, largest]"),
    ],
)
def test_a_rating_range_has_two_ends_and_holds_the_rule(tmp_path, label, setting, what):
    assert faults(tmp_path, label=label) == {setting: what}


@pytest.mark.parametrize("shares", [{"train": 0.9}, {"validation": 0.2}, {"train": 0.5, "validation": 0.5}])
def test_a_split_leaves_something_for_the_test(tmp_path, shares):
    assert list(faults(tmp_path, split=shares)) == ["split.validation"]


def test_a_config_made_in_python_keeps_the_same_rules():
    events, items = EventsConfig(**{**EVENTS, "label": None, "rating": "r"}), ItemsConfig(**ITEMS)

    with pytest.raises(ValueError, match="set it to the smallest rating that counts as liked"):
        SourceConfig(events=events, items=items)
    assert SourceConfig(events=events, items=items, label=LabelConfig(rating_at_least=4)).label.rating_range is None


@pytest.mark.parametrize(
    "section",
    [
        SourceConfig,
        EventsConfig,
        ImpressionsConfig,
        ItemsConfig,
        QueriesConfig,
        LabelConfig,
        SplitConfig,
        HistoryConfig,
    ],
)
def test_every_setting_is_documented_and_no_config_can_be_changed(section):
    assert all(field.description for field in section.model_fields.values())
    assert section.model_config["frozen"]
