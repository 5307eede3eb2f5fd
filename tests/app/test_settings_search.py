"""The search of training settings: validation rows alone, resumable, and its file is what training reads."""

import random
import warnings
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from app.config import load_config
from app.settings_search import alone, first_trials, search_settings, without_test
from app.train_settings import write_settings
from app.workplace import open_dataset
from base.faults import WrongUse
from ctr.config import TrainConfig, Trial
from ctr.space import Tried, ranges_of, values_of
from sources.faults import SourceFaults
from tests.conftest import START

TRAIN = {"batch_size": 64, "rolling": [], "search": [{"learning_rate": 0.01, "epochs": 2}], "seeds": [0]}
TREES = {"count": 10, "leaves": 4}


@pytest.fixture
def released(make_shop):
    """A shop with facts in a release; test rows of some users are earlier than validation rows of others."""
    encoders = {"dense": {"kind": "dense"}, "lexical": {"kind": "lexical", "dimension": 4}}
    shop = make_shop(tasks={"item_facts": {}}, encoders=encoders, train={**TRAIN, "backbone": "fm"})
    chance = random.Random(3)
    shop.write_events(
        [
            (f"u{user}", f"i{item}", START + timedelta(hours=user, minutes=20 * place), 1.0 + chance.randrange(5))
            for user in range(40)
            for place, item in enumerate(chance.sample(range(12), 10))
        ]
    )
    shop.release("item_facts")
    return shop


def flipped(dataset, part):
    """The same data with the labels and ratings of one part inverted."""
    inside = pl.col("part") == part
    events = dataset.events.with_columns(
        pl.when(inside).then(1 - pl.col("label")).otherwise("label").alias("label"),
        pl.when(inside).then(6 - pl.col("rating")).otherwise("rating").alias("rating"),
    )
    assert not events.equals(dataset.events)
    return replace(dataset, events=events)


def searched(shop, dataset, trials=4, arms=("base",)):
    (shop.folder / "runs" / "search" / "settings.db").unlink(missing_ok=True)
    return search_settings(load_config(shop.config), arms, trials, shop.folder / "found.yaml", dataset=dataset).tried


def test_inverted_labels_of_test_rows_change_nothing_and_those_of_validation_rows_do(released):
    released.configure(train={**TRAIN, "backbone": "blend", "trees": TREES})
    dataset = open_dataset(load_config(released.config))
    found = searched(released, dataset)

    assert searched(released, flipped(dataset, "test")) == found
    assert searched(released, flipped(dataset, "validation")) != found


def test_test_rows_are_nowhere_in_what_is_searched_on(released):
    dataset = open_dataset(load_config(released.config))
    events = without_test(replace(dataset, sampled=dataset.events)).events

    assert set(events["part"]) == {"train", "validation"}
    assert set(without_test(replace(dataset, sampled=dataset.events)).sampled["part"]) == {"train", "validation"}


def test_the_command_goes_on_and_training_reads_its_file(released, plain_knowflow):
    words = ["search-settings", "--arms", "base,facts", "--config", released.config]
    first = plain_knowflow.run(*words, "--trials", 2)
    second = plain_knowflow.run(*words, "--trials", 4)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "base, facts on rel-000001: 2 trials\n" in first.stdout
    assert "4 trials, 2 of them from before" in second.stdout
    assert "train: {settings: train-settings.yaml}" in second.stderr
    assert "trials: 4 of 4" in second.stderr

    released.configure(train={**TRAIN, "backbone": "fm", "settings": "train-settings.yaml"} | {"batch_size": 99})
    del released.settings["train"]["search"]
    released.configure()
    train = load_config(released.config).train

    shown = {line.split()[0]: line.split()[2] for line in second.stdout.splitlines() if len(line.split()) == 3}
    assert f"{train.learning_rate:.4g}" == shown["learning_rate"]
    assert f"{train.embedding_dim}" == shown["embedding_dim"]
    assert train.batch_size == 99  # what knowflow.yaml says itself counts
    assert {trial.learning_rate for trial in train.search} <= {train.learning_rate}
    assert "settings" not in train.model_dump()  # the values decide a run, not where they stand


def test_a_study_goes_on_when_training_reads_the_file_that_it_writes(released):
    file = released.folder / "found.yaml"
    own = {name: value for name, value in TRAIN.items() if name != "search"} | {"backbone": "fm"}
    released.configure(train=own)
    first = search_settings(load_config(released.config), ["base"], 2, file)
    other = Tried({"learning_rate": 0.017, "epochs": 3}, 0.9)
    write_settings(file, other, other, ["base"], "rel-000001", 2)
    released.configure(train={**own, "settings": "found.yaml"})
    assert load_config(released.config).train.learning_rate == 0.017

    second = search_settings(load_config(released.config), ["base"], 3, file)

    assert second.before == 2
    assert second.tried[:2] == first.tried
    file.write_text("learning_rate: 0.017\n")  # of a hand, so it is a setting like any other
    third = search_settings(load_config(released.config), ["base"], 1, released.folder / "new.yaml")
    assert (third.before, third.usual.values["learning_rate"]) == (0, 0.017)


def test_every_arm_may_still_train_less_long_than_was_found(shop):
    found = Tried({"learning_rate": 0.01, "epochs": 3, "trees.leaves": 7}, 0.7)
    for best in (found, Tried({"learning_rate": 0.01, "epochs": 1}, 0.7), Tried({"trees.leaves": 7}, 0.7)):
        write_settings(shop.folder / "found.yaml", best, found, ["base"], "rel-000001", 5)
        shop.configure(train={"settings": "found.yaml"})
        train = load_config(shop.config).train

        longest = best.values.get("epochs", 1)
        assert train.epochs == longest
        assert [(one.learning_rate, one.epochs) for one in train.search] == [
            (0.01, epochs) for epochs in range(1, longest + 1) if longest > 1
        ]


def test_the_first_trials_are_the_settings_of_now_and_what_every_arm_tries():
    config = TrainConfig(learning_rate=0.004, search=(Trial(learning_rate=0.004), Trial(learning_rate=0.002, epochs=2)))
    now = values_of(config, ranges_of(config, network=True, trees=False))

    assert first_trials(config, now) == [now, {**now, "learning_rate": 0.002, "epochs": 2}]


def test_what_every_arm_tries_lies_within_the_ranges_wherever_it_lies(released):
    outside = [{"learning_rate": 1e-5, "epochs": 4}, {"learning_rate": 0.5, "epochs": 1}]
    released.configure(train={**TRAIN, "search": outside})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna warns of values that its ranges do not hold
        tried = searched(released, open_dataset(load_config(released.config)), trials=3)

    assert [(one.values["learning_rate"], one.values["epochs"]) for one in tried[1:]] == [(1e-5, 4), (0.5, 1)]


def test_a_search_that_cannot_be_is_refused_in_words(released):
    config = load_config(released.config)
    (released.folder / "mine.yaml").write_text("learning_rate: 0.1\n")

    with alone(released.folder / "runs" / "search" / "settings.db"), pytest.raises(WrongUse, match="another search"):
        search_settings(config, ["base"], 1, released.folder / "found.yaml")
    with pytest.raises(WrongUse, match="constant learns nothing"):
        search_settings(config, ["constant"], 1, released.folder / "found.yaml")
    with pytest.raises(WrongUse, match=r"mine.yaml: is there, and no search has written it"):
        search_settings(config, ["base"], 1, released.folder / "mine.yaml")
    with pytest.raises(WrongUse, match="there is no folder"):
        search_settings(config, ["base"], 1, released.folder / "no" / "found.yaml")
    with pytest.raises(WrongUse, match="is a folder"):
        search_settings(config, ["base"], 1, released.folder)
    dataset = open_dataset(config)
    no_validation = dataset.events.filter(pl.col("part") != "validation")
    with pytest.raises(WrongUse, match="no validation rows with both labels"):
        search_settings(config, ["base"], 1, released.folder / "f.yaml", dataset=replace(dataset, events=no_validation))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        ("learning_rate: -1\n", "learning_rate"),
        ("lerning_rate: 1\n", "learning_rate"),
        ("- 1\n", "does not hold settings"),
        ("a: [\n", "is not YAML"),
    ],
)
def test_a_wrong_file_of_settings_is_reported_with_its_name(shop, content, words):
    if content is not None:
        (shop.folder / "found.yaml").write_text(content)
    shop.configure(train={"settings": "found.yaml"}, gates={"answered": 3})

    with pytest.raises(SourceFaults, match=words) as caught:
        load_config(shop.config)

    assert any("found.yaml" in str(one) for one in caught.value.faults)
    assert len(caught.value.faults) == 2
