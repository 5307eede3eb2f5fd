"""New data with the engine that `init` writes: nobody is there to answer, and plan and refresh say so (recorded-after-init)."""

from pathlib import Path

from app.config import load_config
from app.workplace import open_store
from cli.init import init
from feature_store.lineage import read_lineage

CASE = Path(__file__).parent / "data" / "recorded-after-init"
REMEDY = (
    "--engine vllm --model FOLDER (docs/how-to/vllm.md), --engine openai --model NAME (docs/how-to/openai-server.md)"
)


def test_plan_says_that_nobody_answers_and_refresh_names_the_engines_instead_of_storing_errors(tmp_path, knowflow):
    assert init(tmp_path / "shop", events=CASE / "events.csv", items=CASE / "items.csv") == 0
    config = tmp_path / "shop" / "knowflow.yaml"

    planned = knowflow.run("plan", "--config", config)
    refreshed = knowflow.run("refresh", "--config", config)

    assert (planned.returncode, refreshed.returncode) == (0, 2)
    assert "kar_item: 6 of 6 calls have no answer: the engine of this plan calls no model" in planned.stderr
    assert "nobody is there to answer: " in planned.stderr
    assert REMEDY in planned.stderr
    assert "next:" not in planned.stderr
    assert refreshed.stderr.startswith("kar_item: the engine 'recorded' calls no model and has none of the 6 answers\n")
    assert REMEDY in refreshed.stderr
    assert len(read_lineage(open_store(load_config(config)), None, ["row"])) == 0
