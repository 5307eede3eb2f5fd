"""Windows of rolling time, as training reads them: judged side by side with the split, or left out where they cannot be."""

import numpy as np
import pytest
from pydantic import ValidationError

from app.comparison import begin_run, read_scores
from app.config import load_config
from app.samples import open_samples, open_windows
from app.train_runs import get_run
from app.workplace import open_dataset
from ctr.config import TrainConfig


def test_a_result_holds_both_protocols(compared_shop):
    run = get_run(compared_shop.folder / "runs")
    result, config = run.read("result"), load_config(compared_shop.config)
    dataset = open_dataset(config)
    samples, windows = open_samples(config, dataset), open_windows(config, dataset)

    rolling = result["rolling"]
    assert list(rolling["arms"]) == list(result["arms"])
    assert [cut["share"] for cut in rolling["cuts"]] == pytest.approx([0.6, 0.8], abs=0.02)
    assert [cut["test_rows"] for cut in rolling["cuts"]] == [(window == 2).sum() for window in windows[1:]]
    assert rolling["segments"]["all"]["rows"] == sum(cut["test_rows"] for cut in rolling["cuts"])
    scores = read_scores(run, "rolling")
    rows = np.concatenate([np.flatnonzero(window == 2) for window in windows[1:]])
    np.testing.assert_array_equal(scores.label, samples.label[rows])
    np.testing.assert_array_equal(scores.user, samples.user[rows])
    # Cold is told by what was before each cut: fewer than 5 of an item's events.
    cold = [np.bincount(samples.item[w == 0], minlength=60)[samples.item[w == 2]] < 5 for w in windows[1:]]
    np.testing.assert_array_equal(scores.segments["cold"], np.concatenate(cold))
    assert "rolling time" in result["conclusion"].lower()


def test_without_cuts_the_split_alone_is_judged(compared):
    compared.configure(train={"rolling": []})
    config = load_config(compared.config)

    assert open_windows(config, open_dataset(config)) == []


def test_on_a_log_of_one_label_there_is_no_window_to_judge(shop):
    shop.write_events([("u0", f"i{place}", time, 5.0) for place, (_, _, time, _) in enumerate(shop.events()[:5])])
    short = load_config(shop.config)

    assert open_windows(short, open_dataset(short)) == []


def test_a_run_notes_its_cuts_and_how_many_rows_lie_after_the_knowledge_cutoff(compared):
    run = begin_run(load_config(compared.config), ["constant", "base"], None)

    noted = run.read("run")
    assert noted["trained"] == ["base"]
    assert len(noted["cuts"]) == 2
    assert noted["after_cutoff"] is None  # nobody says until when the scripted model knows the world
    assert noted["test_years"] == [2024, 2024]
    assert (run.folder / "constant.npz").is_file()


def test_cuts_are_rising_shares():
    for wrong in ([0.8, 0.5], [0.5, 0.5], [0.0], [1.0]):
        with pytest.raises(ValidationError, match="each larger than the one before"):
            TrainConfig.model_validate({"rolling": wrong})
