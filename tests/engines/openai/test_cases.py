"""Every case of a misbehaving server in tests/cases/servers ends as its README calls right."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fault_server import Served, serve
from faulty_modes import Faulty
from openai_asking import RateLimit

from base.faults import WrongUse
from base.progress import silent
from engines.protocol import EngineFault
from feature_store.answers import JOURNAL, read_answers
from feature_store.gate import GatesClosed
from llm_tasks.pipeline.budget import Budget, BudgetReached, Limits, Prices
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.generate import Generated, Spending, generate
from llm_tasks.pipeline.meter import Reading
from llm_tasks.pipeline.plan import plan_task

CASES = Path(__file__).parents[2] / "cases" / "servers"
STORY = re.compile(r"A warm, well paced story with a strong cast, number \d+\.")


class Case:
    """A copy of one case beside a server whose mode the test sets."""

    def __init__(self, shop: Any, server: Served, faulty: Faulty) -> None:
        self.shop, self.server, self.faulty = shop, server, faulty
        self.readings: list[Reading] = []

    def ask(self, mode: str, budget: Budget | None = None) -> Generated:
        """Ask what is missing, as `knowflow refresh` does."""
        self.faulty.mode = mode
        place = self.shop.place()
        spending = Spending(Prices(), budget or Budget(), self.readings.append)
        with place.store.writer("a test") as writer:
            return generate(plan_task(find_tasks()["kar_item"], place), place, writer, silent, spending)

    def answers(self) -> list[dict[str, Any]]:
        keys = [row["answer_key"] for row in self.shop.lineage("kar_item").values()]
        return read_answers(self.shop.place().store, keys).to_dicts()

    def texts(self) -> list[str]:
        return [row["text"] for row in self.shop.lineage("kar_item").values()]


def copied(name: str, folder: Path, server: Served, faulty: Faulty, shop_of: Callable) -> Case:
    shutil.copytree(CASES / name, folder)
    settings = yaml.safe_load((folder / "knowflow.yaml").read_text())
    settings["engine"]["options"]["urls"] = server.url
    shop = shop_of(folder, settings)
    quick = {} if name == "rate-limited" else {"backoff": 0.01, "longest_backoff": 0.02, "probe_after": 0.02}
    shop.configure(options=quick)
    return Case(shop, server, faulty)


@pytest.fixture
def case(tmp_path, shop, request) -> Iterator[Case]:
    """The case that the test names with `@of(NAME)`."""
    faulty = Faulty()
    with serve(faulty) as server:
        yield copied(request.param, tmp_path / "case", server, faulty, type(shop))


tested: list[str] = []
"""Names of the cases that a test of this file takes."""


def of(name: str) -> pytest.MarkDecorator:
    tested.append(name)
    return pytest.mark.parametrize("case", [name], indirect=True)


@of("think-released")
def test_thinking_is_no_part_of_an_answer_and_nothing_but_thinking_is_no_text(case):
    nothing = case.ask("thinkopen")
    (error,) = {row["error"] for row in case.shop.lineage("kar_item").values()}
    with pytest.raises(WrongUse, match=r"40 rows failed:\n  no_text: if the model thinks"):
        case.shop.encode("kar_item")

    assert (nothing.answered, nothing.errors) == (0, {"no_text": 40})
    assert "max_tokens went into thinking" in error
    assert "enable_thinking: false" in error


@of("think-released")
@pytest.mark.parametrize("mode", ["think", "thinkclose"])
def test_the_answer_after_a_block_of_thinking_is_kept_alone(case, mode):
    assert case.ask(mode).answered == 40
    assert all(STORY.fullmatch(text) for text in case.texts())


@of("finish-reason-ignored")
def test_answers_that_were_cut_off_are_kept_counted_shown_and_stopped_by_a_gate(case):
    done = case.ask("length:0.5")

    cut = [answer["key"] for answer in case.answers() if answer["finish"] == "length"]
    assert (done.answered, done.cut_off) == (40, len(cut))
    assert 10 < len(cut) < 30
    assert f"{len(cut)} cut off" in case.readings[-1].line()
    with pytest.raises(GatesClosed, match=r"FAILED  kar_item cut off: \d\d\.\d% of answers cut off, at most 5\.0%"):
        case.shop.release("kar_item")
    case.shop.configure(gates={"cut_off": 1.0})
    assert case.shop.release("kar_item") == "rel-000001"


@of("finish-reason-ignored")
@pytest.mark.parametrize(("mode", "kind"), [("abort", "broke_off"), ("choiceerror", "http_502")])
def test_an_answer_that_the_server_broke_off_is_a_failed_attempt(case, mode, kind):
    done = case.ask(f"{mode}:0.5")

    assert list(done.errors) == [kind]
    assert 0 < done.answered < 40
    failed = [answer for answer in case.answers() if answer["error"]]
    assert all(answer["detail"].startswith("after 6 attempts: ") for answer in failed)
    assert all(text is None or STORY.fullmatch(text) for text in case.texts())
    assert case.ask("ok").calls == len(failed)  # asked again, for the server was at fault


@of("content-parts-unpaid")
def test_content_in_parts_is_read_and_what_is_thrown_away_is_paid_for(case):
    done = case.ask("parts:0.5")

    assert (done.answered, done.input_tokens, done.output_tokens) == (40, 40 * 100, 40 * 40)
    assert all(STORY.fullmatch(text) for text in case.texts())


@of("content-parts-unpaid")
def test_replies_that_are_thrown_away_count_against_the_limit(case):
    budget = Budget(Limits(max_tokens=1000))
    case.shop.configure(options={"concurrency": 2})

    with pytest.raises(BudgetReached):
        case.ask("abort", budget)

    calls = len(case.server.seen.calls)
    assert calls <= 18  # two rows of six attempts are 1,680 tokens; a third may have been taken
    assert budget.tokens == calls * 140


@of("error-rows-dead-end")
def test_a_server_that_is_mended_is_asked_again_by_the_next_refresh(case, plain_knowflow):
    case.ask("html200")
    with pytest.raises(WrongUse) as stopped:
        case.shop.encode("kar_item")
    told = plain_knowflow.run("plan", "--config", case.shop.config)
    done = case.ask("ok")

    assert "40 rows failed:\n  garbage: check that engine.options.urls names an OpenAI-compatible" in str(stopped.value)
    assert "then refreshes ask its rows again, at once: knowflow retry --error garbage" in str(stopped.value)
    assert "kar_item: 40 rows the server failed last time: garbage" in told.stderr
    assert (done.calls, done.answered, done.errors) == (40, 40, {})


@of("error-rows-dead-end")
def test_closed_gates_name_what_to_fix_and_the_command_that_asks_again(case):
    case.ask("html200:0.5")
    with pytest.raises(GatesClosed) as garbage:
        case.shop.release("kar_item")
    case.ask("refuse:0.5")
    with pytest.raises(GatesClosed) as refused:
        case.shop.release("kar_item")

    assert "/v1 is missing; then refreshes ask its rows again, at once: knowflow retry" in str(garbage.value)
    assert "then ask its rows again: knowflow retry --error refused\n" in str(refused.value)


@of("rate-limited")
def test_a_limit_of_rates_loses_no_row(case):
    case.faulty.limit = RateLimit(per_second=100)

    done = case.ask("ok")

    assert (done.calls, done.answered, done.errors) == (300, 300, {})


@of("rate-limited")
@pytest.mark.parametrize(
    ("mode", "kind", "fix", "then"),
    [
        ("reasoning", "no_text", "switch thinking off", "knowflow refresh, then knowflow retry --error no_text"),
        ("refuse", "refused", "reword the prompt", "knowflow refresh, then knowflow retry --error refused"),
        ("html502", "http_502", "check the log of the server", "knowflow refresh\n"),
        ("bad", "bad_request", "structured, output_limit and extra under engine.options", "--error bad_request"),
    ],
)
def test_a_run_in_which_everything_fails_for_one_cause_stops_early_with_the_remedy(case, mode, kind, fix, then):
    case.shop.configure(options={"backoff": 0.01, "attempts": 2, "concurrency": 8, "open_after": 1000})

    with pytest.raises(EngineFault, match=f"the first 32 answers all ended in {kind}\n") as stopped:
        case.ask(mode)

    assert fix in str(stopped.value)
    assert then in str(stopped.value)
    assert len(case.server.seen.prompts) <= 40  # of 300 rows: 32, and what was under way
    assert case.ask("ok").answered == 300 if kind == "http_502" else 260


@of("systematic-no-text")
def test_few_rows_that_all_fail_say_where_max_tokens_went(case):
    done = case.ask("reasoning")

    assert done.errors == {"no_text": 40}
    assert all("max_tokens went into thinking" in answer["detail"] for answer in case.answers())


@of("think-released")
@pytest.mark.parametrize(
    ("mode", "kind"), [("maxtok", "too_long"), ("groq413", "too_long"), ("thoughtparts", "no_text")]
)
def test_what_concerns_the_prompt_is_no_fault_of_the_server(case, mode, kind):
    assert case.ask(mode).errors == {kind: 40}


@of("think-released")
def test_another_model_and_absurd_counts_are_kept_in_the_books(case):
    case.ask("model:0.5")
    assert {answer["answered_by"] for answer in case.answers()} == {"m", "some-other-model-1b"}

    case.shop.configure(engine={**case.shop.settings["engine"], "model": "other"})
    done = case.ask("hugeusage")
    assert done.answered == 40
    assert done.input_tokens < 40 * 1000  # estimated: 10^20 tokens were not given


def test_damaged_lines_of_the_journal_cost_only_themselves(shop, caplog):
    shop.ask("kar_item")
    shutil.copy(CASES / "damaged-journal" / "answers.journal", shop.place().store.folder / JOURNAL)

    planned, done = shop.plan("kar_item"), shop.ask("kar_item")

    assert (planned.count("cached"), done.calls) == (12, 0)
    assert "answers.journal: 1 line is damaged and left out (1)" in caplog.text


def test_every_case_has_a_test():
    assert {*tested, "damaged-journal"} == {folder.name for folder in CASES.iterdir()}
