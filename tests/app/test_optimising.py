"""A search over a real store: better prompts are found and kept as drafts, and a search that broke off continues."""

from pathlib import Path

import pytest
import yaml
from optimise_shop import configured, optimise_shop

from app.config import load_config
from app.optimised import keep_candidates
from app.optimising import Wish, optimise
from base.faults import WrongUse
from base.plugins import UnknownPlugin
from engines.protocol import EngineFault
from feature_store.database import Store
from feature_store.lineage import read_lineage
from feature_store.schemas import ANSWERS
from llm_tasks.pipeline.budget import Limits
from prompts.drafts import with_front, write_prompt
from prompts.library import live_prompt
from prompts.prompt import read_prompt
from prompts.rewritten import as_text

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "movielens"
BUDGET = Limits(max_tokens=120_000)


def wish(method="gepa", **changes):
    return Wish(**{"task": "rank_candidates", "method": method, "limits": BUDGET, "rows": 30, **changes})


def calls(config):
    """Rows of the table of answers, in the order of their keys: prompt, model, tokens."""
    table = Store(load_config(config).store_folder).read("answers", ANSWERS, columns=["key", "prompt", "model"])
    return sorted(zip(*(table[name].to_pylist() for name in ("key", "prompt", "model")), strict=True))


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """One search that went through, with what it kept."""
    file = optimise_shop(tmp_path_factory.mktemp("shop"))
    done = optimise(load_config(file), wish())
    return file, done, keep_candidates(load_config(file), done)


def test_the_better_prompt_is_found_and_becomes_a_trial_and_all_others_are_drafts(searched):
    file, done, kept = searched
    config = load_config(file)

    text = as_text(done.found.best.parts)
    assert "Weigh the newest events most." in text
    assert "Name the topics first." in text
    files = {path.name: read_prompt(path) for path in config.own_prompts.iterdir()}
    assert set(files) == {f"{one.prompt}.md" for one in kept[1:]}
    best = next(one for one in kept if one.best)
    assert {name for name, prompt in files.items() if prompt.front.status == "trial"} == {f"{best.prompt}.md"}
    assert {prompt.front.status for prompt in files.values()} == {"trial", "draft"}
    assert live_prompt("rank_candidates", None, config.library).name == "rank_candidates.v1"


def test_every_file_says_where_it_comes_from_and_what_was_measured(searched):
    *_, kept = searched
    names = {one.prompt for one in kept}
    for one in kept[1:]:
        assert one.file is not None
        origin = read_prompt(one.file).front.origin
        assert origin is not None
        assert (origin.method, origin.seed) == ("gepa", 0)
        assert origin.parent in names
        assert origin.figures["rows"] == one.rows
        assert origin.figures.get("ndcg@10") == (None if one.score is None else round(one.score, 4))
    best = next(one for one in kept if one.best)
    assert best.rows == 30
    assert best.gain is not None
    assert best.gain > 0.2


def test_no_lineage_is_written_and_answers_name_the_version_they_are_of(searched):
    file, _, kept = searched

    assert read_lineage(Store(load_config(file).store_folder), ["rank_candidates"]).is_empty()
    asked = {prompt for _, prompt, _ in calls(file)}
    assert "gepa_reflect.v1" in asked
    assert asked - {"gepa_reflect.v1"} == {one.prompt for one in kept if one.rows or one.how}


def test_the_same_search_again_asks_nothing_and_ends_in_the_same_place(searched):
    file, done, kept = searched
    before, bytes_before = calls(file), {path: path.read_bytes() for path in load_config(file).own_prompts.iterdir()}

    again = optimise(load_config(file), wish())

    assert calls(file) == before
    assert keep_candidates(load_config(file), again) == kept
    assert again.replayed == again.budget.tokens == done.budget.tokens
    assert {path: path.read_bytes() for path in load_config(file).own_prompts.iterdir()} == bytes_before


def test_a_search_whose_engine_fails_continues_and_ends_where_it_would_have(searched, tmp_path):
    whole = calls(searched[0])
    file = optimise_shop(tmp_path / "shop", fails_after=150)
    for _ in range(2):  # each time the engine answers 150 questions, then its server is gone
        with pytest.raises(EngineFault, match="the answers so far are kept"):
            optimise(load_config(file), wish())
    assert len(calls(file)) == 300
    assert list(load_config(file).own_prompts.iterdir()) == []

    done = optimise(load_config(configured(file, options={})), wish())

    assert calls(file) == whole
    assert 0 < done.replayed < done.budget.tokens
    assert done.found.best.parts == searched[1].found.best.parts


def test_a_spent_budget_ends_the_search_and_keeps_the_best_so_far(tmp_path):
    file = optimise_shop(tmp_path / "shop")
    small = wish(limits=Limits(max_tokens=12_000))

    done = optimise(load_config(file), small)

    assert 12_000 <= done.budget.tokens < 12_000 + 1_000  # the last question may go over it
    assert done.found.stopped
    again = optimise(load_config(file), small)
    assert (again.budget.tokens, again.replayed) == (done.budget.tokens, done.budget.tokens)
    assert again.found.best == done.found.best


def test_a_second_model_reflects_and_the_first_one_answers(tmp_path):
    file = optimise_shop(tmp_path / "shop")

    optimise(load_config(file), wish(limits=Limits(max_tokens=20_000), reflecting=(None, "thinker", None)))

    models = {(prompt.partition(".")[0], model) for _, prompt, model in calls(file)}
    assert models == {("gepa_reflect", "thinker"), ("rank_candidates", "scripted")}


def test_a_version_that_somebody_promoted_or_wrote_stays_as_it_is(searched):
    file, _, kept = searched
    best = next(one for one in kept if one.best)
    assert best.file is not None
    old = best.file.read_text()
    write_prompt(with_front(read_prompt(best.file), status="retired"))
    promoted = best.file.read_text()

    again = optimise(load_config(file), wish())
    keep_candidates(load_config(file), again)

    assert best.file.read_text() == promoted
    best.file.write_text(old)


def test_what_cannot_be_optimised_is_refused_before_anything_is_asked(tmp_path, example_config):
    config = load_config(optimise_shop(tmp_path / "shop"))

    for changes, message in [
        ({"task": "item_facts"}, "item_facts: it asks no model"),
        ({"options": {"batch": 0}}, "gepa.batch: Input should be greater than or equal to 1"),
        ({"objective": "beauty"}, "is no measure of rankings"),
    ]:
        with pytest.raises(WrongUse, match=message):
            optimise(config, wish(**changes))
    with pytest.raises(UnknownPlugin, match="there are: gepa, po4isr, recprompt, greedy"):
        optimise(config, wish("magic"))
    with pytest.raises(WrongUse, match="the engine has recorded answers only"):
        optimise(load_config(example_config), wish())
    assert calls(config.path) == []


@pytest.fixture
def example_config(tmp_path):
    """The MovieLens example with a home of its own."""

    from tests.conftest import EXAMPLE

    settings = yaml.safe_load((EXAMPLE / "knowflow.yaml").read_text())
    for name in ("events", "items", "queries"):
        settings[name]["path"] = str(EXAMPLE / settings[name]["path"])
    settings["home"] = "home"
    options = settings["engine"]["options"]["files"]
    settings["engine"]["options"]["files"] = {name: str(EXAMPLE / path) for name, path in options.items()}
    settings["tasks"] = {"rank_candidates": {}}
    file = tmp_path / "knowflow.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file
