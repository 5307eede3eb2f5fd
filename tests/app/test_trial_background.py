"""What measures of texts know besides a trial."""

from datetime import timedelta

from app.config import load_config
from app.trial_background import background_of
from app.trial_plan import plan_trial
from app.trials import ask_trial
from evals.prompts.text.background import Past
from evals.prompts.thresholds import NAMES
from tests.conftest import START


def test_items_have_facts_and_what_their_prompts_ask_for_and_no_history(shop):
    config = load_config(shop.config)
    plan = plan_trial(config, "kar_item", ["v1", "v2"], sample=3)

    known = background_of(config, plan, ask_trial(plan))

    assert known.facts["i7"] == "Thing 7"
    assert known.asked["kar_item.v1"] == plan.workplace.domain.item_factors
    assert known.asked["kar_item.v2"][:2] == ("subgenres", "director")
    assert known.objects == {"kar_item.v2"}
    assert (known.titles, known.pasts) == (None, {})


def test_users_have_what_they_met_until_as_of_and_what_lay_ahead(shop):
    # u0 meets i0, i3 and i6; i9 nobody meets before the last minute; u1 alone meets i1, early.
    at = [START + timedelta(minutes=minute) for minute in range(10)]
    shop.write_events(
        [
            ("u0", "i0", at[0], 5.0),
            ("u0", "i3", at[1], 4.0),
            ("u0", "i6", at[5], 4.0),
            ("u0", "i9", at[9], 4.0),
            ("u1", "i1", at[0], 4.0),
            ("u1", "i6", at[1], 4.0),
        ]
    )
    config = load_config(shop.config)
    plan = plan_trial(config, "kar_user", ["v1"], sample=10)
    trial = ask_trial(plan)

    known = background_of(config, plan, trial)

    first = next(row for row in trial.rows if row.entity == "u0" and row.as_of == at[1])
    assert known.pasts[first.row] == Past(frozenset({"i0", "i3"}), frozenset({"i6", "i9"}))
    assert known.titles is not None
    assert known.titles.named("Liked Thing 3, not Thing 4") == [{"i3"}, {"i4"}]


def test_every_measure_that_a_trial_has_can_be_bounded(shop):
    from app.trial_evaluation import Wanted, evaluate_trial
    from llm_tasks.pipeline.budget import Limits

    shop.configure(prices={"input_per_million": 1.0, "output_per_million": 1.0}, rules={"</B>": "A"})
    config = load_config(shop.config)
    names = set()
    for task, versions in (("kar_item", ["v1", "v2"]), ("kar_user", ["v1"])):
        plan = plan_trial(config, task, versions, sample=4)
        wanted = Wanted(judge=len(versions) > 1, repeat=2)
        names |= {one.name for one in evaluate_trial(config, plan, wanted, Limits()).measured}

    assert names <= set(NAMES)
    assert set(NAMES) - names <= {"seconds_of_all"}  # there may be no past run of a version
