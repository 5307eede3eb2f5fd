"""Arms that show examples, through the flow: chosen by name or by knowflow.yaml, with what is reported of retrieval."""

import pytest

from app.comparison import begin_run
from app.config import load_config
from app.train_runs import get_run
from base.faults import WrongUse
from evals.looks import read_looks
from feature_store.releases import NoRelease, get_release
from flows.train import train

pytestmark = pytest.mark.usefixtures("prefect_server")
FACTS = {"examples", "k", "shortage_share", "similarity_mean", "days_back_median", "recall"}


def test_a_comparison_has_the_arms_that_knowflow_yaml_names_with_what_was_retrieved(examples_shop):
    run = get_run(examples_shop.folder / "runs")
    result = run.read("result")
    assert list(result["arms"]) == ["constant", "base", "llm-cf", "llm-cf-labels"]
    assert "retrieval" not in result["training"]["base"]
    retrieval = result["training"]["llm-cf"]["retrieval"]
    assert set(retrieval) == FACTS
    assert (retrieval["examples"], retrieval["k"], retrieval["recall"]) == (60, 4, 1)
    assert 0 < retrieval["shortage_share"] < 1
    assert retrieval["days_back_median"] > 0
    assert result["training"]["llm-cf-labels"]["retrieval"] == retrieval
    shown = result["training"]["llm-cf"]["shown"]
    assert (shown["task"], len(shown["samples"])) == ("cot_examples", 3)
    assert result["training"]["llm-cf-labels"]["shown"] == shown
    noted = run.read("run")
    assert noted["uses"]["llm-cf"] == [["in_context", ["cot_examples/dense", "item_facts/dense"]]]
    assert set(noted["coverage"]) == {"item_facts"}  # examples are shown to all


def test_arms_named_by_hand_come_before_those_of_knowflow_yaml(reasoned):
    config = load_config(reasoned.config)

    named, own = (begin_run(config, arms, None).read("run")["arms"] for arms in (["llm-cf-random"], ["cot_examples"]))

    assert list(named) == ["constant", "llm-cf-random"]
    assert list(own) == ["constant", "cot_examples"]
    arms = begin_run(config, None, None).read("run")["arms"]
    assert list(arms) == ["constant", "base", "llm-cf", "llm-cf-labels"]


def test_a_release_without_examples_has_no_such_arm_to_train(searched_shop):
    with pytest.raises(NoRelease, match="holds no vectors of cot_examples under dense"):
        train(config=str(searched_shop.config), arms=["llm-cf"])


def test_examples_that_a_new_split_keeps_for_the_test_are_told_before_anything_is_trained(reasoned):
    assert get_release(reasoned.place().store).name == "rel-000001"
    reasoned.configure(split={"by": "user_position", "train": 0.2, "validation": 0.1})

    with pytest.raises(WrongUse, match=r"of 60 examples are events that the split keeps for validation or test"):
        begin_run(load_config(reasoned.config), ["llm-cf"], None)
    trained = reasoned.folder / "runs" / "train"
    assert [path.name for path in trained.iterdir() if path.is_dir()] == ["train-000001"]
    assert [look["by"] for look in read_looks(trained)] == ["train-000001"]  # and nobody looked at test rows again
