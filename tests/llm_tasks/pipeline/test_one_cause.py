"""A run in which everything fails for one cause stops; one good answer, another error or few rows let it go on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.progress import silent
from engines.protocol import EngineFault
from engines.request import Answer
from feature_store.answers import known_answers
from llm_tasks.pipeline.ask import Asker, Question
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.one_cause import OneCause


def alike(shop, kind: str, **options) -> None:
    shop.write_items({f"i{place}": f"Thing {place}" for place in range(60)})
    shop.configure(rules={"Thing": f"error:{kind}"}, options=options)


@pytest.mark.parametrize("in_flight", [1, 8])
def test_the_run_stops_after_the_first_answers_and_finishes_and_keeps_what_is_under_way(shop, in_flight):
    alike(shop, "refused", in_flight=in_flight)

    with pytest.raises(EngineFault) as stopped:
        shop.ask("kar_item")

    done = 32 + in_flight - 1
    assert str(stopped.value) == (
        f"stopped after {done} of 60 calls of kar_item: the first 32 answers all ended in refused\n"
        "  for example: as the rule says\n"
        "  reword the prompt, or use another model\n"
        "  the answers so far are kept; to go on: knowflow refresh, then knowflow retry --error refused for the rows"
        " that failed\n"
        "  to ask on in spite of that: engine.stop_after_failures: 0 in knowflow.yaml"
    )
    assert shop.calls() == shop.calls("gave")
    assert len(known_answers(shop.place().store)) == done


def test_a_passing_cause_is_asked_again_by_the_command_that_the_message_names(shop):
    alike(shop, "http_502")
    with pytest.raises(EngineFault, match="to go on: knowflow refresh\n"):
        shop.ask("kar_item")
    shop.configure(rules={})

    assert shop.ask("kar_item").answered == 60


@pytest.mark.parametrize("rules", [{"Thing 9": "A text.", "Thing": "refused"}, {"Thing 9": "long", "Thing": "refused"}])
def test_one_answer_or_another_error_among_the_first_lets_the_run_go_on(shop, rules):
    alike(shop, "refused")
    shop.write_items({f"i{place}": f"Thing {99 - place}" for place in range(60)})  # prompts are sorted by their text
    shop.configure(rules={"Thing 40": rules["Thing 9"], "Thing": "refused"})

    assert shop.ask("kar_item").calls == 60


def test_a_run_with_fewer_rows_ends_as_any_other(shop):
    shop.configure(rules={"Thing": "refused"})

    assert shop.ask("kar_item").errors == {"refused": 12}


def test_the_number_is_a_setting_and_nought_is_never(shop):
    alike(shop, "refused")
    shop.configure(engine={**shop.settings["engine"], "stop_after_failures": 3})
    with pytest.raises(EngineFault, match="stopped after 3 of 60 calls"):
        shop.ask("kar_item")
    shop.configure(engine={**shop.settings["engine"], "stop_after_failures": 0})

    assert shop.ask("kar_item").calls == 57


def test_an_engine_whose_answers_cost_nothing_is_asked_to_the_end(shop):
    alike(shop, "not_recorded", free=True)

    assert shop.ask("kar_item").errors == {"not_recorded": 60}


def test_a_loop_that_asks_in_rounds_is_stopped_over_its_rounds(shop):
    alike(shop, "refused")
    place = shop.place()
    with place.store.writer("a test") as writer:
        asker = Asker(find_tasks()["kar_item"], place, writer, progress=silent)
        requests = list(shop.plan("kar_item").spool.requests())
        prompt = shop.plan("kar_item").prompt
        asker.ask([Question(prompt, request) for request in requests[:20]])
        with pytest.raises(EngineFault, match="the first 32 answers all ended in refused"):
            asker.ask([Question(prompt, request) for request in requests[20:]])


@given(st.lists(st.sampled_from([None, "refused", "timeout"]), max_size=12), st.integers(0, 6))
def test_the_cause_is_found_when_the_first_answers_are_errors_of_one_kind(errors, most):
    cause = OneCause(most)
    for error in errors:
        cause.count(Answer("k", "text" if error is None else None, error))

    first = errors[:most]
    assert cause.found == (0 < most == len(first) and None not in first and len(set(first)) == 1)
