"""The evaluation of item vectors: what tests was never learnt, weights are chosen elsewhere, and a lack is told."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.eval_similar import conclusion
from flows.config import load_config
from flows.similar_evaluation import HEADLINE, evaluate_similar
from llm_tasks.pipeline.workplace import OptionFault
from llm_tasks.tuning.workfolder import RESULT
from sources.progress import silent
from sources.split import split

ITEMS, USERS = 60, 40
START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def judged(shop_builder: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    """A shop of sixty items that are liked along a line, its answers about items, and the evaluation of them."""
    shop = shop_builder(tmp_path_factory.mktemp("similar") / "shop", items=ITEMS, tasks={"kar_item": {}})
    shop.write_events(
        [
            (f"u{user}", f"i{(user * 7 + place) % ITEMS}", START + timedelta(hours=place), 5.0)
            for user in range(USERS)
            for place in range(20)
        ]
    )
    shop.ask("kar_item")
    return shop, evaluate_similar(load_config(shop.config), None, silent)


def test_train_and_test_items_are_disjoint_and_together_all_there_are(judged):
    _, result = judged
    said = json.loads((Path(result["encoder"]["folder"]) / RESULT).read_text(encoding="utf-8"))

    learnt, held_out = set(said["train_items"]), set(said["held_out_items"])

    assert not learnt & held_out
    assert learnt | held_out == {f"i{place}" for place in range(ITEMS)}
    assert 0 < result["items"]["tested"] < len(held_out)  # some of them choose the weight of the prior
    assert result["items"]["tested"] + result["items"]["validated"] == len(held_out)


def test_nothing_after_the_training_events_was_seen(judged):
    shop, result = judged
    place = shop.place()
    training = place.dataset.events.filter(split(place.dataset.events, place.split) == "train")

    assert result["encoder"]["seen_until"] <= training["time"].max().isoformat()


def test_the_figures_on_top_are_those_of_the_headline(judged):
    _, result = judged
    main = result["settings"][HEADLINE]

    assert result["frozen"] == main["arms"]["facts"]["recall"]["100"]
    assert result["tuned"] == main["arms"]["tuned"]["recall"]["100"]
    assert result["gain"]["mean"] == pytest.approx(result["tuned"] - result["frozen"])
    assert result["gain"]["low"] <= result["gain"]["mean"] <= result["gain"]["high"]
    assert set(result["disjoint"]) == {"frozen", "tuned", "gain", "prior_gain"}
    assert f"{result['tuned']:.3f}" in conclusion(result)


def test_every_arm_finds_more_the_longer_the_list_and_all_of_it_in_the_end(judged):
    _, result = judged

    recalls = [arm["recall"] for one in result["settings"].values() for arm in one["arms"].values()]

    assert len(recalls) >= 5 * 10
    for recall in recalls:
        assert recall["10"] <= recall["100"] <= recall["1000"]
        assert recall["1000"] == pytest.approx(1.0)  # the list is longer than the pool


def test_an_encoder_that_is_there_is_not_tuned_again(judged):
    shop, result = judged
    told: list[str] = []

    again = evaluate_similar(load_config(shop.config), None, lambda what, *_: told.append(what))

    assert "tuning steps" not in told
    assert again == result


def test_what_lacks_is_told_with_the_command_that_makes_it(make_shop, tmp_path):
    empty = make_shop(tasks={"kar_item": {}})
    with pytest.raises(OptionFault, match=r"no answers of kar_item.*\n.*knowflow refresh --task kar_item"):
        evaluate_similar(load_config(empty.config), None, silent)

    empty.ask("kar_item")
    with pytest.raises(OptionFault, match=r"holds no tuned encoder\n.*knowflow tune-encoder"):
        evaluate_similar(load_config(empty.config), tmp_path, silent)


def test_pairs_of_test_items_are_asked_for_and_of_no_others(judged):
    _, result = judged

    strict, main = result["settings"]["disjoint"], result["settings"][HEADLINE]

    assert 0 < strict["pairs"] < main["pairs"]
    assert strict["queries"] <= main["queries"] <= result["items"]["tested"]
    assert strict["cold_queries"] <= strict["queries"]
