"""What differs between two releases: counted row by row, and said so that a person sees what changed and why."""

import json

from app.train_runs import new_run
from feature_store.release_diff import ChangedText, changed_vectors, compare_rows
from feature_store.releases import get_release


def titles(changed=(), count=12):
    return {f"i{number}": f"Thing {number}{' anew' * (number in changed)}" for number in range(count)}


def two_releases(make_shop):
    """In the second one, item 2 has another title, item 3 cannot be asked and keeps its text, items 10, 11 are new."""
    shop = make_shop(items=10, tasks={"kar_item": {}, "item_facts": {"encoders": []}})
    shop.release("kar_item", "item_facts")
    shop.write_items(titles(changed=(2, 3)))
    shop.configure(rules={"Thing 3 anew": "error:http_503"})
    shop.release("kar_item", "item_facts")
    return shop


def test_rows_texts_failures_prompts_and_vectors_are_compared(make_shop):
    shop = two_releases(make_shop)
    store = shop.place().store
    old, new = get_release(store, "rel-000001"), get_release(store)
    facts, kar = compare_rows(store, old, new, examples=1)

    assert (facts.task, facts.rows, facts.added, facts.gone, facts.changed) == ("item_facts", (10, 12), 2, 0, 2)
    assert (facts.prompts, facts.models) == (((), ()), ((), ()))
    assert (kar.task, kar.rows, kar.texts) == ("kar_item", (10, 12), (10, 12))
    assert (kar.added, kar.gone, kar.changed, kar.failed) == (2, 0, 1, (0, 1))
    (example,) = kar.examples
    was, now = ({r["row"]: r["text"] for r in rows(store, one)}[example.row] for one in (old, new))
    assert example == ChangedText(example.row, was, now)
    assert was != now
    assert example.row.startswith("kar_item/i2/")
    back = compare_rows(store, new, old)[1]
    assert (back.added, back.gone, back.changed) == (0, 2, 1)
    assert all(one.changed == one.added == one.gone == 0 for one in compare_rows(store, new, new))


def rows(store, release):
    from feature_store.lineage import read_lineage

    return read_lineage(store, ["kar_item"], version=release.versions["lineage"]).iter_rows(named=True)


def test_another_model_and_another_encoder_are_named(make_shop, plain_knowflow):
    shop = make_shop(items=10, tasks={"kar_item": {}})
    shop.release("kar_item")
    model = shop.settings["engine"]["model"]
    shop.configure(engine={**shop.settings["engine"], "model": "other"})
    shop.configure(encoders={"lexical": {"kind": "lexical", "dimension": 3}})
    shop.release("kar_item")
    store = shop.place().store
    (kar,) = compare_rows(store, get_release(store, "rel-000001"), get_release(store))
    told = plain_knowflow.run("release", "diff", "rel-000001", "--config", shop.config)

    before, after = kar.models
    assert (before[0].split("@")[0], after[0].split("@")[0]) == (model, "other")
    assert f"kar_item: model {before[0]} -> {after[0]}\n" in told.stderr
    vectors = changed_vectors(get_release(store, "rel-000001"), get_release(store))
    assert vectors == {"kar_item/lexical": "made by another encoder or fit"}
    assert "vectors kar_item/lexical: made by another encoder or fit\n" in told.stderr


def test_the_command_prints_counts_examples_and_the_metrics_of_both_if_there_are_any(make_shop, plain_knowflow):
    shop = two_releases(make_shop)
    without = plain_knowflow.run("release", "diff", "rel-000001", "--config", shop.config)
    for name, auc in (("rel-000001", 0.7), ("rel-000002", None)):  # of test rows with one label alone there is none
        run = new_run(shop.folder / "runs")
        run.write(
            "result", {"release": name, "arms": {"base": {"all": {"auc": {"mean": auc}, "logloss": {"mean": 0.5}}}}}
        )
    told = plain_knowflow.run("release", "diff", "rel-000001", "rel-000002", "--config", shop.config)
    as_json = json.loads(plain_knowflow.run("release", "diff", "rel-000001", "--json", "--config", shop.config).stdout)

    lines = [line.split() for line in told.stdout.splitlines()]
    assert ["kar_item", "10", "->", "12", "2", "0", "1", "10", "->", "12", "0", "->", "1"] in lines
    assert ["base", "0.7000", "none", "0.5000", "0.5000"] in lines
    assert "no training run on rel-000001 and rel-000002, so no metrics are compared" in without.stderr
    assert [one["run"] for one in as_json["metrics"]] == ["train-000001", "train-000002"]
    assert plain_knowflow.run("release", "diff", "rel-000009", "--config", shop.config).returncode == 2
