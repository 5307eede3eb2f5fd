"""A tuned model is dated: what it answers is known only later than the newest event it was tuned on."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pydantic import ValidationError

from app.config import load_config
from app.evidence import leak_evidence
from app.samples import open_samples
from base.faults import WrongUse
from ctr.examples import find_examples, situations
from ctr.views import knowledge_view
from engines.choose import build_engine
from engines.protocol import EngineConfig, EngineFault
from engines.seen import Unsaid, learnt_until, tuned_until
from feature_store.answers import JOURNAL, answer_log, known_answers, read_answers
from feature_store.database import Store
from feature_store.leak_check import leak_check
from feature_store.releases import get_release, released_knowledge
from feature_store.schemas import ANSWERS
from llm_tasks.pipeline.task import AdapterConfig
from prompts.domain import load_domain
from retrieval.example_search import open_examples
from retrieval.examples import ExamplePool, ExampleRule, allowed

START = datetime(2024, 1, 1, tzinfo=UTC)  # when the shop's events begin
SEEN = START + timedelta(minutes=2)


def save_adapter(folder, **said):
    """A folder that looks like an adapter; `said` is its knowflow_tuning.json, if any."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8}))
    if said:
        (folder / "knowflow_tuning.json").write_text(json.dumps(said))
    return folder


OLD = {"data": {"recommendation": {"newest_event": "2024-01-01 00:01:00+00:00"},
                "rewrites": {"newest_event": "2024-01-01 00:02:00+00:00"}}}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "until"),
    [
        ({"seen_until": SEEN.isoformat()}, SEEN),
        ({"seen_until": "2024-01-01T02:02:00+02:00"}, SEEN),
        ({"seen_until": None, **OLD}, None),
        (OLD, SEEN),  # of a version before seen_until: the newest of both kinds
    ],
)
def test_a_tuned_folder_says_what_it_has_seen(tmp_path, said, until):
    assert tuned_until(save_adapter(tmp_path / "a", **said), None, "x") == until


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"settings": {"rank": 8}},
        {"data": {"instructions": {"rows": 3}}},
        {"data": {"rewrites": {"newest_event": None}}},
    ],
)
def test_a_tuned_folder_that_does_not_say_it_is_refused_unless_the_user_does(tmp_path, said):
    folder = save_adapter(tmp_path / "a", **said)

    with pytest.raises(Unsaid, match=r"(?s)^tasks\.t\.adapter: .*\n  set seen_until: .* or to none"):
        tuned_until(folder, None, "tasks.t.adapter")
    assert tuned_until(folder, "none", "x") is None
    assert tuned_until(folder, SEEN, "x") == SEEN


def test_a_model_as_its_makers_published_it_needs_no_word(tmp_path):
    (tmp_path / "config.json").write_text("{}")

    assert tuned_until(tmp_path, None, "x") is tuned_until(None, None, "x") is None
    assert tuned_until(tmp_path, SEEN, "x") == tuned_until(None, SEEN, "x") == SEEN


@pytest.mark.parametrize("mine", ["none", SEEN - timedelta(seconds=1)])
def test_a_user_who_says_less_than_the_folder_is_contradicted(tmp_path, mine):
    folder = save_adapter(tmp_path / "a", seen_until=SEEN.isoformat())

    with pytest.raises(Unsaid, match=r"seen_until is .*has seen events until 2024-01-01T00:02:00\+00:00\n  leave"):
        tuned_until(folder, mine, "x")
    assert tuned_until(folder, SEEN + timedelta(1), "x") == SEEN + timedelta(1)


def test_what_is_tuned_anew_has_seen_its_data_and_what_its_base_has(tmp_path):
    plain, tuned = tmp_path / "plain", save_adapter(tmp_path / "tuned", seen_until=SEEN.isoformat())
    earlier = {"recommendation": {"newest_event": str(SEEN - timedelta(1))}}

    assert learnt_until(plain, {"instructions": {"rows": 3}}) == {"seen_until": None}
    assert learnt_until(plain, earlier) == {"seen_until": (SEEN - timedelta(1)).isoformat()}
    assert learnt_until(tuned, earlier) == learnt_until(tuned, {}) == {"seen_until": SEEN.isoformat()}
    # Nobody knows: then nothing is claimed, and whoever uses the model is asked.
    assert learnt_until(plain, {"rewrites": {"newest_event": None}}) == {}
    assert learnt_until(save_adapter(tmp_path / "silent"), earlier) == {}


@pytest.mark.parametrize(
    ("word", "until"),
    [
        ("none", "none"),
        ("2024-01-01T00:02:00Z", SEEN),
        ("2024-01-01 00:02:00", SEEN),
        (datetime(2024, 1, 1, 0, 2), SEEN),
        ("2024-01-01", START + timedelta(days=1) - timedelta(microseconds=1)),
    ],
)
def test_knowflow_yaml_says_it_as_a_time_a_day_or_none(word, until):
    assert (
        EngineConfig(seen_until=word).seen_until
        == AdapterConfig(name="a", path="b", seen_until=word).seen_until
        == until
    )
    with pytest.raises(ValidationError, match="'soon' is not a time; use one such as"):
        EngineConfig(seen_until="soon")


def test_a_server_and_recorded_answers_are_dated_by_what_the_user_says(tmp_path):
    domain = load_domain("generic")
    for name, options in {"openai": {"urls": "http://gpu1:8000/v1"}, "recorded": {}}.items():
        plain = build_engine(EngineConfig(name=name, model="m", options=options), domain, tmp_path)
        tuned = build_engine(EngineConfig(name=name, model="m", options=options, seen_until=SEEN), domain, tmp_path)

        assert (plain.identity.seen_until, tuned.identity.seen_until) == (None, SEEN)


def test_an_engine_of_one_s_own_must_pass_it_on(tmp_path, monkeypatch):
    (tmp_path / "forgetful.py").write_text(FORGETFUL, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = EngineConfig(name="forgetful:Forgetful", model="m", seen_until=SEEN)

    with pytest.raises(EngineFault, match=r"does not pass it on.*\n  set its identity to"):
        build_engine(config, load_domain("generic"), tmp_path)


FORGETFUL = """
from engines.request import ModelIdentity

class Forgetful:
    def __init__(self, config, domain, folder):
        self.identity = ModelIdentity(config.model, config.revision)

    def generate(self, requests):
        return []
"""


TASKS = ("kar_item", "kar_user", "cot_examples")


def with_adapter(shop, **said):
    """Let an adapter answer all techniques; `said` is what its folder says."""
    save_adapter(shop.folder / "adapter", **said)
    adapter = {"name": "recgen", "path": "adapter", "revision": "1"}
    options = {"kar_item": {}, "kar_user": {"snapshots": [0.2, 0.4, 1.0]}, "cot_examples": {"examples": 4}}
    shop.configure(tasks={task: {"adapter": adapter, **options[task]} for task in TASKS} | {"item_facts": {}})
    return shop


def test_nothing_is_asked_of_an_adapter_that_does_not_say_what_it_has_seen(shop):
    with_adapter(shop)

    with pytest.raises(WrongUse, match=r"tasks\.kar_item\.adapter: .*has no knowflow_tuning\.json"):
        shop.plan("kar_item")


def test_answer_keys_and_rows_of_an_untuned_model_are_what_they_were(shop):
    shop.ask("kar_item")
    row = shop.lineage("kar_item")["kar_item/i0/0"]

    # The key that the version before `seen_until` gave.
    assert row["answer_key"] == "2bc8c5343062acb1ee69996a11f296243b9709453579b803b629ec8002becaf7"
    assert (row["as_of"], row["model_seen_until"]) == (datetime(1970, 1, 1, tzinfo=UTC), None)


def test_rows_by_an_adapter_become_known_when_it_was_tuned_and_the_release_holds(shop):
    with_adapter(shop, seen_until=SEEN.isoformat()).release(*TASKS, "item_facts")
    place, config = shop.place(), load_config(shop.config)
    release = get_release(place.store)
    items, users, events = (shop.lineage(task) for task in TASKS)

    # Items have no event of their own; of each user's snapshots after 1, 2 and 5 events, at minutes 0, 1 and 4, the two
    # early ones become known at minute 2, so that the newer of them is left. Rows about events keep their time.
    assert {row["as_of"] for row in items.values()} == {SEEN}
    assert sorted({row["as_of"] for row in users.values()}) == [SEEN, START + timedelta(minutes=4)]
    assert {row["seen_until"] for row in users.values()} == {START + timedelta(minutes=one) for one in (1, 4)}
    assert all(row["as_of"] == row["seen_until"] for row in events.values())
    assert {row["as_of"] < SEEN for row in events.values()} == {True, False}
    every = [*items.values(), *users.values(), *events.values()]
    assert {row["model_seen_until"] for row in every} == {SEEN}
    assert {row["model_seen_until"] for row in shop.lineage("item_facts").values()} == {None}
    assert set(read_answers(place.store, [row["answer_key"] for row in every])["seen_until"]) == {SEEN}
    assert leak_check(place.store, release, leak_evidence(config, place)).leaks == 0

    samples = open_samples(config)
    later = samples.time > np.datetime64(SEEN.replace(tzinfo=None))
    shown = knowledge_view(released_knowledge(place.store, release, "kar_item", "lexical"), samples).rows
    np.testing.assert_array_equal(shown >= 0, later)
    examples = released_knowledge(place.store, release, "cot_examples", "lexical")
    asked = situations(released_knowledge(place.store, release, "kar_item", "lexical"), samples)
    rows = find_examples(examples, samples)
    pool = ExamplePool(asked.at(rows.sample), samples.label[rows.sample], examples.seen_until)
    assert examples.seen_until is not None
    assert not allowed(pool, asked, np.flatnonzero(~later), strict=True).any()
    assert allowed(pool, asked, np.flatnonzero(later), strict=True).any()


def test_a_single_sample_is_shown_no_reasoning_of_a_model_that_has_seen_it(make_shop):
    shop = with_adapter(make_shop(encoders={"dense": {"kind": "dense"}}), seen_until=SEEN.isoformat())
    shop.release("cot_examples", "item_facts")
    place = shop.place()
    events = place.dataset.events
    search = open_examples(place.store, get_release(place.store), events)

    at = {
        number: search.examples_of("u0", "i1", START + timedelta(minutes=number), ExampleRule(2)) for number in (2, 4)
    }

    assert (len(at[2].examples), at[2].lacking) == (0, 2)
    assert len(at[4].examples) > 0


def test_the_untuned_model_s_rows_stay_beside_them_and_serve_what_came_before(shop):
    shop.ask("kar_item")
    with_adapter(shop, seen_until=SEEN.isoformat()).ask("kar_item")

    assert {(row["as_of"], row["model"]) for row in shop.lineage("kar_item").values()} == {
        (datetime(1970, 1, 1, tzinfo=UTC), "scripted@1"),
        (SEEN, "scripted@1@recgen@1"),
    }


def test_rows_that_are_dated_by_a_tuning_go_when_another_model_answers(shop):
    with_adapter(shop, seen_until=SEEN.isoformat()).ask("kar_item")
    shop.ask("kar_user")
    later = SEEN + timedelta(minutes=1)
    save_adapter(shop.folder / "adapter", seen_until=later.isoformat())
    shop.settings["tasks"]["kar_item"]["adapter"]["revision"] = "2"
    shop.configure()

    assert len(shop.plan("kar_item").withdrawn) == 12
    shop.ask("kar_item")
    assert {row["as_of"] for row in shop.lineage("kar_item").values()} == {later}
    shop.configure(tasks={"kar_item": {}, "kar_user": {}})
    shop.ask("kar_item")
    shop.ask("kar_user")
    assert {row["model"] for row in shop.lineage("kar_item").values()} == {"scripted@1"}
    # A snapshot of minute 4 that an adapter described stays what was known then, until it is asked about again.
    assert {row["as_of"] for row in shop.lineage("kar_user").values()} == {START + timedelta(minutes=4)}


def test_a_killed_run_s_journal_keeps_the_date(tmp_path):
    store = Store(tmp_path / "store")
    row = {**dict.fromkeys(ANSWERS.names), "key": "k", "text": "t", "created_at": START, "seen_until": SEEN}
    with store.writer("a test") as writer, answer_log(writer) as log:
        log.append(row)
        journal = (store.folder / JOURNAL).read_bytes()  # as a kill would leave it
    (store.folder / JOURNAL).write_bytes(journal.replace(b'"k"', b'"killed"'))

    with store.writer("a test") as writer, answer_log(writer):
        pass

    assert set(known_answers(store)) == {"k", "killed"}
    assert set(read_answers(store, ["k", "killed"])["seen_until"]) == {SEEN}
