"""knowflow.yaml as one object: all faults at once, in words, and the same rows in every stage."""

import logging
from datetime import timedelta

import pytest
import yaml

from app.config import Config, Prices, load_config
from app.samples import open_samples
from app.workplace import open_dataset, open_workplace, plan
from sources.config import SourceConfig
from sources.faults import KINDS, SourceFaults

SOURCE = {
    "events": {"path": "e.csv", "user": "u", "item": "i", "time": "t", "label": "l"},
    "items": {"path": "i.csv", "id": "i", "title": "t"},
}


@pytest.fixture
def write(tmp_path):
    def to_file(content: object) -> str:
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        (tmp_path / "knowflow.yaml").write_text(text, encoding="utf-8")
        return str(tmp_path / "knowflow.yaml")

    return to_file


def told(path: str) -> str:
    with pytest.raises(SourceFaults) as error:
        load_config(path)
    return str(error.value)


def test_what_is_left_out_has_its_default_and_paths_are_relative_to_the_file(write, tmp_path):
    config = load_config(write(SOURCE))

    assert (config.folder, config.store_folder) == (tmp_path, tmp_path / "runs" / "store")
    assert (config.domain, config.skip_bad_rows, config.tasks, config.prices) == ("generic", False, {}, Prices())
    assert {name: encoder.kind for name, encoder in config.encoders.items()} == {"dense": "dense", "lexical": "lexical"}


def test_everything_that_is_wrong_in_any_section_is_told_at_once_with_its_place(write):
    content = {
        "skip_bad_rows": "maybe",
        "gate": {"answered": 0.9},
        "gates": {"answerd": 0.9, "drift": 2},
        "tasks": {"kar_item": {"encoder": []}, "kar_user": {"snapshots": []}, "kar_itme": {}},
        "encoders": {"dense": {"kind": "dens"}},
        "train": 3,
        "events": {"path": "e", "user": "u", "item": "i", "time": "t", "lable": "x", "rating": "r"},
        "items": None,
    }

    lines = told(write(content)).splitlines()
    assert lines[0] == "knowflow.yaml: 12 faults, nothing was read"
    assert [line.split(maxsplit=2)[1:] for line in lines[1:-1]] == [
        ["events.lable", "is not a setting there; did you mean 'label'?"],
        ["items", "should hold settings"],
        ["label.rating_at_least", "is missing; set it to the smallest rating that counts as liked"],
        ["gate", "is not a setting there; did you mean 'gates'?"],
        ["skip_bad_rows", "should be a valid boolean, unable to interpret input, not 'maybe'"],
        ["tasks.kar_item.encoder", "is not a setting there; did you mean 'encoders'?"],
        ["tasks.kar_user.snapshots", "should have at least 1 item"],
        ["encoders.dense.kind", "should be 'dense', 'lexical' or 'vllm', not 'dens'"],
        ["gates.drift", "should be less than or equal to 1, not 2"],
        ["gates.answerd", "is not a setting there; did you mean 'answered'?"],
        ["train", "should hold settings"],
        ["tasks.kar_itme", "is not a task; did you mean 'kar_item'?"],
    ]
    assert lines[-1] == "  fix: edit knowflow.yaml; docs/reference/knowflow-yaml.md lists every setting"


def test_a_setting_of_another_kind_of_encoder_is_told_with_all_other_faults(write):
    content = {
        **SOURCE,
        "domain": 3,
        "encoders": {
            "a": {"kind": "dense", "poling": "mean"},
            "b": {"kind": "lexical", "pooling": "mean", "dimension": 1},
            "c": {"pooling": "mean"},
        },
        "prices": {"output": 1},
    }

    assert [line.split(maxsplit=2)[1:] for line in told(write(content)).splitlines()[1:-1]] == [
        ["domain", "should be a valid string, not 3"],
        ["encoders.c.kind", "is missing"],
        ["encoders.a.poling", "is not a setting there; did you mean 'pooling'?"],
        ["encoders.b.dimension", "should be greater than or equal to 2, not 1"],
        ["encoders.b.pooling", "is not a setting there"],
        ["prices.output", "is not a setting there"],
    ]


@pytest.mark.parametrize("setting", ["path", "source"])
def test_a_setting_that_only_the_object_has_is_not_one_of_the_file(write, setting):
    assert f"setting  {setting}  is not a setting there" in told(write({**SOURCE, setting: "x"}))


def test_a_file_that_is_no_knowflow_yaml_is_told_by_its_path(write, tmp_path):
    path = tmp_path / "knowflow.yaml"

    assert (
        told(str(path))
        == f"{path}: 1 fault, nothing was read\n  there is no such file\n  fix: make one: knowflow init, or give yours: --config FILE"
    )
    for content in ("", "- a\n", "a\n"):
        assert "holds no settings" in told(write(content))
    assert "is not YAML: line 2, column 4: expected the node content, but found '<stream end>'" in told(
        write("a: [\nb: ")
    )
    path.write_bytes(b"a: \xff\n")
    assert "is not YAML: " in told(str(path))


def test_every_setting_of_the_file_is_a_field_and_the_other_way_round():
    assert set(SourceConfig.model_fields) & set(Config.model_fields) == set()


def test_one_switch_skips_every_kind_and_goes_with_no_list_of_kinds(write):
    assert load_config(write({**SOURCE, "skip_bad_rows": True})).skipped() == KINDS
    assert load_config(write({**SOURCE, "skip": ["duplicates"]})).skipped() == ("duplicates",)
    said = told(write({**SOURCE, "skip_bad_rows": True, "skip": ["duplicates"]}))
    assert "skip_bad_rows: true already skips every kind; set only one of the two" in said


def test_rows_with_faults_are_refused_by_every_stage_or_left_out_by_every_stage(shop, caplog):
    user, _, time, rating = shop.events()[0]
    good = shop.events()
    shop.write_events([*good, (user, "nowhere", time + timedelta(days=1), rating)])

    for stage in (open_dataset, open_workplace, open_samples):
        with pytest.raises(SourceFaults, match=r"add to skip in knowflow\.yaml to leave them out: unknown_items"):
            stage(load_config(shop.config))
    shop.configure(skip=["unknown_items"])
    with caplog.at_level(logging.WARNING, logger="sources"):
        config = load_config(shop.config)
        seen = [
            len(open_dataset(config).events),
            len(open_workplace(config).dataset.events),
            len(open_samples(config).user),
        ]

    assert seen == [len(good)] * 3
    assert set(caplog.messages) == {"events.parquet: left out 1 row with faults: 1 unknown_items"}
    assert [one.summary()["rows"] for one in plan(load_config(shop.config))] == [12, 8, 12]


def test_a_price_is_for_a_million_tokens():
    # 2 * 500,000 / 1e6 + 10 * 100,000 / 1e6
    assert Prices(input_per_million=2, output_per_million=10).cost(500_000, 100_000) == pytest.approx(1 + 1)


def test_each_technique_has_options_of_its_own(write):
    tasks = {"kar_user": {"snapshots": [0.5], "history_length": 3}, "cot_examples": {"candidates": 2}, "kar_item": None}
    config = load_config(write({**SOURCE, "tasks": tasks}))

    assert {name: type(options).__name__ for name, options in config.tasks.items()} == {
        "kar_user": "KarUserOptions",
        "cot_examples": "CotExamplesOptions",
        "kar_item": "TaskOptions",
    }
    assert config.tasks["kar_user"].model_dump()["snapshots"] == (0.5,)
    for elsewhere in ("snapshots", "candidates", "history_length", "examples"):
        said = told(write({**SOURCE, "tasks": {"kar_item": {elsewhere: 1}}}))
        assert f"setting  tasks.kar_item.{elsewhere}  is not a setting there" in said


def test_each_recommender_has_options_of_its_own_and_their_faults_are_told_with_all_others(write):
    config = load_config(write({**SOURCE, "recommenders": {"star": {"history": 5}, "cooccurrence": None}}))

    assert config.recommenders["star"].model_dump(exclude_unset=True) == {"history": 5}
    assert type(config.recommenders["cooccurrence"]).__name__ == "CooccurrenceOptions"
    wrong = {"star": {"histroy": 5}, "cooccurrence": {"history": 0}, "sasrek": {}}
    lines = told(write({**SOURCE, "recommenders": wrong, "skip_bad_rows": "maybe"})).splitlines()
    assert [line.split(maxsplit=2)[1:] for line in lines[1:-1]] == [
        ["skip_bad_rows", "should be a valid boolean, unable to interpret input, not 'maybe'"],
        ["recommenders.star.histroy", "is not a setting there; did you mean 'history'?"],
        ["recommenders.cooccurrence.history", "should be greater than or equal to 1, not 0"],
        ["recommenders.sasrek", "is not a recommender; did you mean 'sasrec'?"],
    ]
    assert "setting  recommenders  should hold settings" in told(write({**SOURCE, "recommenders": 3}))


def test_folders_of_plugins_that_are_missing_or_broken_are_told_with_the_other_faults(write, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "broken.py").write_text("import nowhere_to_be_found\n")

    said = told(write({**SOURCE, "plugins": ["mine", "yours"], "skip_bad_rows": "maybe"}))
    assert said.startswith("knowflow.yaml: 3 faults")
    assert "'yours'  there is no such folder" in said
    assert "broken.py: ModuleNotFoundError: No module named 'nowhere_to_be_found'" in said


@pytest.mark.parametrize("home", [".", "..", "../../..", "/", "runs/.."])
def test_a_home_that_holds_the_config_is_refused_because_a_command_may_change_all_files_of_a_home(write, home):
    assert "holds knowflow.yaml itself; name a folder that KnowFlow has to itself, such as runs" in told(
        write({**SOURCE, "home": home})
    )


@pytest.mark.parametrize("home", ["runs", "../elsewhere", "/data/shop"])
def test_any_other_home_is_taken(write, tmp_path, home):
    assert load_config(write({**SOURCE, "home": home})).home_folder == (tmp_path / home).resolve()
