"""How a run ends that a gate or a budget stops: in a state of its own name, with the same exception as ever."""

import pytest

from app.asking import Asking
from feature_store.gate import GatesClosed
from flows.refresh import refresh
from llm_tasks.pipeline.budget import BudgetReached

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_closed_gate_names_the_state_and_says_why(make_shop, prefect_has):
    shop = make_shop(items=4, users=1, tasks={"kar_item": {}})
    shop.configure(rules={"Thing 3": "refused"})

    with pytest.raises(GatesClosed) as stopped:
        refresh(config=str(shop.config))

    state = prefect_has(f"refresh {shop.config}").run.state
    assert (state.name, state.type.value) == ("GateClosed", "FAILED")
    assert state.message == str(stopped.value)
    assert "FAILED  kar_item answered: 75.0% of 4 rows" in state.message


def test_a_spent_budget_names_the_state_too(shop, prefect_has):
    with pytest.raises(BudgetReached):
        refresh(config=str(shop.config), asking=Asking(max_tokens=40))

    state = prefect_has(f"refresh {shop.config}").run.state
    assert (state.name, state.type.value) == ("BudgetReached", "FAILED")
    assert "stopped after 1 of 12 calls of kar_item" in state.message


def test_any_other_fault_is_plainly_failed(make_shop, prefect_has):
    shop = make_shop(items=4, users=1, tasks={"kar_item": {}})
    shop.configure(rules={"Thing 2": "raise"})

    with pytest.raises(Exception, match="the server is gone"):
        refresh(config=str(shop.config))

    assert prefect_has(f"refresh {shop.config}").run.state.name == "Failed"
