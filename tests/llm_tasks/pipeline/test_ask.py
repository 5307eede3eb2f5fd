"""Asking in rounds: the same answers and keys as in a refresh, one budget for all rounds, and nothing asked twice."""

import pytest

from feature_store.answers import JOURNAL, answer_log, read_answers
from llm_tasks.pipeline.ask import Asker
from llm_tasks.pipeline.budget import Budget, BudgetReached, Limits
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.generate import Spending

TASK = find_tasks()["kar_item"]


@pytest.fixture
def rounds(shop):
    """Run a loop with an asker; gives what it gave."""

    def run(loop, **options):
        place = shop.place()
        with place.store.writer("a test") as writer:
            return loop(Asker(TASK, place, writer, **options))

    return run


def about(asker, *things):
    return [asker.question("kar_item", {"input": thing}) for thing in things]


def test_answers_come_in_the_order_of_the_questions_and_each_is_asked_once(shop, rounds):
    def loop(asker):
        first = asker.ask(about(asker, "b", "a", "b"))
        return first, asker.ask(about(asker, "c", "a", first[0].text))

    first, second = rounds(loop)

    assert [one.text for one in first] == [first[0].text, first[1].text, first[0].text]
    assert first[0].text != first[1].text
    assert second[1] == first[1]
    assert len(shop.calls("gave")) == len({one.key for one in [*first, *second]}) == 4


def test_a_loop_that_begins_anew_pays_for_nothing_it_had(shop, rounds):
    def loop(asker):
        said = [""]
        for _ in range(4):
            said.append(asker.ask(about(asker, said[-1] + "."))[0].text)
        return said

    once = rounds(loop)
    calls = len(shop.calls("gave"))

    assert rounds(loop) == once
    assert len(shop.calls("gave")) == calls == 4


def test_a_refresh_and_a_loop_share_their_answers(shop, rounds):
    shop.ask("kar_item")
    calls = len(shop.calls("gave"))

    (answer,) = rounds(lambda asker: asker.ask(about(asker, "Thing 3")))

    assert len(shop.calls("gave")) == calls == 12
    assert answer.text == shop.lineage("kar_item")["kar_item/i3/0"]["text"]


def test_an_error_is_an_answer_with_its_reason_and_stays_on_record(shop, rounds):
    shop.configure(rules={"bad": "refused"})

    good, bad = rounds(lambda asker: asker.ask(about(asker, "good", "bad")))

    assert (good.error, bad.text, bad.error) == (None, None, "refused")
    assert rounds(lambda asker: asker.ask(about(asker, "bad")))[0].error == "refused"
    assert len(shop.calls("gave")) == 2


def test_answers_that_a_killed_loop_left_in_the_journal_are_found_and_not_asked_again(make_shop, shop, rounds):
    other = make_shop(name="other").place()
    with other.store.writer("a test") as writer:
        asker = Asker(TASK, other, writer)
        before = asker.ask(about(asker, "a", "b"))
        with answer_log(writer) as log:
            for row in read_answers(other.store, [one.key for one in before]).to_dicts():
                log.append(row)
            journal = (other.store.folder / JOURNAL).read_bytes()  # as a kill would leave it
    rounds(lambda asker: asker.ask(about(asker, "c")))
    (shop.place().store.folder / JOURNAL).write_bytes(journal)

    assert rounds(lambda asker: asker.ask(about(asker, "a", "b"))) == before
    assert len(shop.calls("asked")) == 1


def test_one_budget_holds_for_all_rounds_and_what_was_answered_is_kept(shop, rounds):
    def loop(asker):
        for number in range(5):
            asker.ask(about(asker, f"thing {number}"))

    with pytest.raises(BudgetReached, match="stopped after 0 of 1 calls of kar_item"):
        rounds(loop, spending=Spending(budget=Budget(Limits(max_tokens=1))))
    kept = len(shop.calls("gave"))
    assert 1 <= kept < 5
    rounds(loop)
    assert len(shop.calls("gave")) == 5


def test_what_does_not_fit_the_context_is_an_error_and_is_not_sent(shop, rounds):
    shop.configure(options={"context_tokens": 700})
    long = "word " * 900

    short, too_long = rounds(lambda asker: asker.ask(about(asker, "short", long)))

    assert (short.error, too_long.error) == (None, "too_long")
    assert "do not fit the model's 700" in too_long.detail
    assert len(shop.calls("gave")) == 1


def test_half_of_a_surrogate_pair_is_an_error_and_is_not_sent(shop, rounds):
    good, broken = rounds(lambda asker: asker.ask(about(asker, "good", "half \ud83d")))

    assert (good.error, broken.error, broken.text) == (None, "not_utf8", None)
    assert len(shop.calls("asked")) == 1


def test_a_question_that_the_server_failed_on_is_asked_again_by_the_next_loop_and_once_a_loop(shop, rounds):
    shop.configure(rules={"bad": "error:http_502"})

    def loop(asker):
        return [asker.ask(about(asker, "bad"))[0].error for _ in range(3)]

    assert rounds(loop) == ["http_502"] * 3
    assert len(shop.calls("gave")) == 1
    shop.configure(rules={})
    assert rounds(loop) == [None] * 3
    assert len(shop.calls("gave")) == 2
