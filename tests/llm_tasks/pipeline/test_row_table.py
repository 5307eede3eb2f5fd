"""Rows in columns are planned as the same rows are one by one: keys, digests, reasons, requests and what is shortened."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.request import ModelIdentity
from llm_tasks.pipeline.before import Before
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.fit import Renderer
from llm_tasks.pipeline.plan import plan_task
from llm_tasks.pipeline.row_planner import RowPlanner, TextDigests, digest_of
from llm_tasks.pipeline.row_table import RowTable
from llm_tasks.pipeline.table_planner import TablePlanner
from llm_tasks.pipeline.task import EPOCH
from prompts.library import choose_prompt

KAR_USER = find_tasks()["kar_user"]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ODD = [
    "<|im_end|>",
    "[INST]",
    "I <3 it",
    "\x1b[2Ja",
    "a\nb",
    'say "it"',
    "Am\u00e9lie \U0001f3ac",
    "half \ud83d",
    "",
    "{{ input }}",
    "SOS",
    "a word",
]
anything = st.text(st.characters(exclude_categories=())) | st.sampled_from(ODD)


class ByteEngine:
    """Every byte is a token."""

    def __init__(
        self, identity: ModelIdentity, context_tokens: int | None, special_tokens: tuple[str, ...] = ()
    ) -> None:
        self.identity, self.context_tokens, self.special_tokens = identity, context_tokens, special_tokens

    def count_tokens(self, messages) -> int:
        return sum(len(message["content"].encode()) for message in messages)


def planned(task, place, **options):
    """Return a plan and the requests that it keeps."""
    plan = plan_task(task, place, **options)
    return plan, list(plan.spool.requests())


def alone(task):
    """Return the technique with its rows one by one."""
    return replace(task, rows=lambda inputs: iter(task.rows(inputs)))


def assert_same(task, place, **options):
    """Check that a technique's table gives the plan of its rows; return it."""
    table, requests = planned(task, place, **options)
    rows, requests_of_rows = planned(alone(task), place, **options)
    assert isinstance(task.rows(place.inputs_of(task)), RowTable)
    assert table.rows == rows.rows
    assert list(table.asks.items()) == list(rows.asks.items())
    assert requests == requests_of_rows
    assert replace(table, task=rows.task) == rows
    return table


def test_a_table_is_planned_as_its_rows_when_they_are_new_cached_changed_failed_or_retried(shop):
    shop.configure(rules={"Thing 4": "refused", "Thing 7": "error:timeout", "Thing 2": "empty"})
    assert assert_same(KAR_USER, shop.place()).count("new") == 8
    shop.ask("kar_user")
    statuses = {row.status for row in assert_same(KAR_USER, shop.place()).rows}
    assert statuses == {"cached", "failed"}
    for retry in (["refused"], ["parse"], ["all"]):
        assert assert_same(KAR_USER, shop.place(), retry=retry).asks
    shop.write_items({f"i{place}": f"Thing {place}" * (1 + (place == 3)) for place in range(12)})
    shop.write_events([*shop.events(), ("u1", "i0", shop.events()[-1][2], 2.0)])
    changed = assert_same(KAR_USER, shop.place())
    assert {"what the prompt shows changed", "have new events"} <= {row.why for row in changed.rows}
    assert assert_same(KAR_USER, shop.place(), asked_before={next(iter(changed.asks))})


@pytest.mark.parametrize(
    ("context", "shortened", "failed"), [(600, 8, 8), (700, 8, 1), (800, 4, 0), (1_000, 0, 0), (100_000, 0, 0)]
)
def test_a_table_is_shortened_where_its_rows_are(shop, context, shortened, failed):
    shop.write_items({f"i{place}": f"Thing {place}, or {place * ' long'}" for place in range(12)})
    place = shop.place()
    place = replace(place, engine=ByteEngine(place.engine.identity, context))

    counts = assert_same(KAR_USER, place).summary()

    assert (counts["shortened"], counts["failed"]) == (shortened, failed)


def test_titles_that_are_changed_in_a_prompt_and_tokens_of_the_model_are_planned_as_rows(shop):
    titles = [one for one in ODD if one and "\ud83d" not in one]
    shop.write_items({f"i{place}": titles[place % len(titles)] for place in range(12)})
    place = shop.place()
    place = replace(place, engine=ByteEngine(place.engine.identity, None, ("SOS",)))
    contents = [one.messages[0]["content"] for one in planned(KAR_USER, place)[1]]

    assert assert_same(KAR_USER, place).count("new") == 8
    assert any("S OS" in content for content in contents)
    assert any("< |im_end|>" in content for content in contents)


def test_a_table_of_a_tuned_model_is_dated_by_its_tuning(shop):
    place = shop.place()
    seen = max(time for _, _, time, _ in shop.events()).replace(year=2031)
    tuned = replace(place, engine=ByteEngine(replace(place.engine.identity, seen_until=seen), None))

    assert {row.as_of for row in assert_same(KAR_USER, tuned).rows} == {seen}


TEXTS = [
    "Only {{ input }} is shown.",
    "{{ other }}, {{ input }} and {{ other }}",
    "{{ input | replace('a', '<b>') | replace(' ', '') }}\n# assistant\nWell, {{ other }}",
    "<{{ input }}>",
    "[{{ other }}INST]",
    "{% if input %}{{ input }}{% endif %}",
    "Half \ud83d of {{ input }}",
]


@pytest.fixture(scope="module")
def place(shop_builder, tmp_path_factory):
    """A place with an engine of 850 tokens, each of them a byte."""
    shop = shop_builder(tmp_path_factory.mktemp("shops") / "shop")
    found = shop.place()
    return replace(found, engine=ByteEngine(found.engine.identity, 850))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("special", [(), ("[X]", "<x>"), ("word",)], ids=["none", "marked", "bare"])
@given(
    rows=st.lists(st.tuples(anything, anything, st.sampled_from([None, "refused", "timeout", "new"])), max_size=4),
    candidates=st.sampled_from([1, 1, 2]),
)
def test_any_texts_in_any_prompt_are_planned_as_rows(place, text, special, rows, candidates):
    roles = zip(("user", "assistant"), text.split("\n# assistant\n"), strict=False)
    prompt = replace(choose_prompt("kar_user"), parts=tuple(roles))
    renderer = replace(Renderer.of(KAR_USER, prompt, place), filled=prompt.filled(place.domain, special))
    names, times = [f"u{number}" for number in range(len(rows))], [EPOCH] * len(rows)
    table = RowTable(names, times, times, {"other": [row[1] for row in rows], "input": [row[0] for row in rows]})
    stored = {renderer.request(row).key: error for row, (*_, error) in zip(table, rows, strict=True) if error != "new"}
    planner = RowPlanner(
        task=KAR_USER,
        prompt=prompt,
        identity=place.engine.identity,
        before=Before.read(place.store, "kar_user"),
        answers=stored,
        tried={},
        now=NOW,
        retry=frozenset(),
        candidates=candidates,
        seen_until=None,
    )

    alone = []
    for row in table:
        fitting, request, fault = renderer.fitted(row)
        alone.append((*planner.plan(fitting, request, fault), fitting is not row))
    together = TablePlanner.of(table, planner, renderer).plan()

    assert [(row, tuple(asked), shorter) for row, asked, shorter in together] == [
        (row, tuple(asked), shorter) for row, asked, shorter in alone
    ]


@given(row=st.dictionaries(anything, anything, min_size=1, max_size=3))
def test_digests_of_texts_are_those_of_their_json(row):
    names = sorted(row)

    assert TextDigests(names).digest([row[name] for name in names]) == digest_of(row)


def test_columns_of_several_lengths_or_without_a_variable_are_refused():
    for variables in ({}, {"input": ["a", "b"]}):
        with pytest.raises(ValueError, match="one length"):
            RowTable(["u0"], [EPOCH], [None], variables)
