"""`knowflow prompts eval`: tables, a page, bounds with an exit code, a judge, repeated answers; nothing asked twice."""

import json

import pytest

PROMPT = """---
task: kar_item
version: {version}
status: draft
schema: {{type: text}}
sampling: {{temperature: {temperature}, max_tokens: 30}}
---
# user
{text} {{{{ domain.item_factors | join(", ") }}}}
{{{{ input }}}}
"""


@pytest.fixture
def shop(make_shop):
    """A shop with two drafts of the item prompt; the second may answer differently each time."""
    shop = make_shop(items=30, users=6, events=15)
    (shop.folder / "prompts").mkdir()
    for version, text, temperature in ((8, "Say it.", 0.0), (9, "Say it briefly.", 0.7)):
        file = shop.folder / "prompts" / f"kar_item.v{version}.md"
        file.write_text(PROMPT.format(version=version, text=text, temperature=temperature))
    return shop


def evaluated(shop, plain_knowflow, *words):
    options = ["--versions", "v8,v9", "--sample", "24", "--config", shop.config]
    return plain_knowflow.run("prompts", "eval", "kar_item", *options, *words)


def test_measures_are_printed_and_written_and_nothing_is_asked_again(shop, plain_knowflow):
    first = evaluated(shop, plain_knowflow)
    asked = len(shop.calls())
    told = json.loads(evaluated(shop, plain_knowflow, "--json").stdout)

    assert first.returncode == 0, first.stderr
    assert asked == len(shop.calls()) == 48
    for name in ("parse_failures", "coverage", "distinct_2", "novelty", "output_tokens"):
        assert f"\n{name} " in first.stdout
    measures = {one["name"]: one for one in told["measures"]}
    # Eight words and `answer...`: nine words from every answer of the tests' engine.
    assert measures["words"]["figures"]["kar_item.v9"]["mean"] == 9
    assert measures["parse_failures"]["figures"]["kar_item.v8"]["high"] == pytest.approx(0.138, abs=0.001)
    page = (shop.folder / "runs" / "prompts" / "kar_item-v8-v9-24-0.html").read_text()
    assert "v9 − v8" in page
    assert 'id="conclusion"' in page or told["verdicts"] == []


def test_a_bound_that_the_last_version_does_not_keep_gives_exit_code_1(shop, plain_knowflow):
    kept = evaluated(shop, plain_knowflow, "--fail-under", "words=9", "--fail-over", "parse_failures=0")
    broken = evaluated(shop, plain_knowflow, "--fail-under", "words=10", "--json")
    wrong = evaluated(shop, plain_knowflow, "--fail-under", "length=10")

    assert (kept.returncode, broken.returncode, wrong.returncode) == (0, 1, 2)
    assert "kar_item.v9: words is 9, below 10" in broken.stderr
    assert json.loads(broken.stdout)["broken"] == ["kar_item.v9: words is 9, below 10"]
    assert "'length' is no measure\n  there are: probe," in wrong.stderr


def test_a_judge_is_asked_in_both_orders_once(shop, plain_knowflow):
    shop.configure(rules={"</B>": "A"})

    told = json.loads(evaluated(shop, plain_knowflow, "--judge", "--json").stdout)
    asked = len(shop.calls())
    evaluated(shop, plain_knowflow, "--judge")

    measures = {one["name"]: one["figures"]["kar_item.v9"] for one in told["measures"]}
    assert asked == len(shop.calls()) == 48 + 48
    # A judge that always names the first text prefers neither version.
    assert (measures["judge"]["mean"], measures["judge_swapped"]["mean"], measures["judge_first"]["mean"]) == (
        0.5,
        0,
        1,
    )
    assert "temperature is 0" in measures["judge_again"]["why"]


def test_the_judge_may_be_another_model_and_one_version_alone_has_nothing_to_judge(shop, plain_knowflow):
    shop.configure(rules={"</B>": "tie"})

    told = json.loads(evaluated(shop, plain_knowflow, "--judge", "--judge-model", "other", "--json").stdout)
    alone = plain_knowflow.run("prompts", "eval", "kar_item", "--versions", "v8", "--judge", "--config", shop.config)

    assert (
        next(one for one in told["measures"] if one["name"] == "judge_swapped")["figures"]["kar_item.v8"]["mean"] == 1
    )
    assert alone.returncode == 2
    assert "--judge compares versions" in alone.stderr


def test_repeated_answers_are_compared_where_they_may_differ(shop, plain_knowflow):
    told = json.loads(evaluated(shop, plain_knowflow, "--repeat", "3", "--json").stdout)

    figures = next(one for one in told["measures"] if one["name"] == "agreement")["figures"]
    assert len(shop.calls()) == 48 + 2 * 24
    assert 0 < figures["kar_item.v9"]["mean"] < 1
    assert "temperature is 0" in figures["kar_item.v8"]["why"]


def test_what_versions_are_worth_stands_first_and_no_difference_is_claimed_of_random_words(shop, plain_knowflow):
    done = evaluated(shop, plain_knowflow)
    told = json.loads(evaluated(shop, plain_knowflow, "--json").stdout)
    without = json.loads(evaluated(shop, plain_knowflow, "--no-worth", "--json").stdout)

    assert done.stdout.index("What the versions are worth") < done.stdout.index("The texts")
    assert "No difference is shown between kar_item.v8 and kar_item.v9" in " ".join(told["verdicts"])
    assert {"probe", "retrieval", "auc", "gauc"} <= {one["name"] for one in told["measures"]}
    assert "probe" not in {one["name"] for one in without["measures"]}
    pages = shop.folder / "runs" / "prompts"
    assert 'id="conclusion"' in (pages / "kar_item-v8-v9-24-0.html").read_text()  # the last evaluation replaced nothing
    assert 'id="conclusion"' not in (pages / "kar_item-v8-v9-24-0-texts.html").read_text()


def test_a_teams_own_tests_run_on_sampled_rows_and_on_rows_that_they_name(shop, plain_knowflow):
    tests = shop.folder / "prompts" / "kar_item.tests.yaml"
    tests.write_text("- {max_words: 9}\n- {entity: i29, contains: [answer]}\n- {entity: i3, not_contains: [answer]}\n")

    done = evaluated(shop, plain_knowflow, "--no-worth")
    tests.write_text("- {max_words: 9}\n")
    passed = evaluated(shop, plain_knowflow, "--no-worth")
    tests.write_text("- {entity: nobody}\n")
    unknown = evaluated(shop, plain_knowflow, "--no-worth")

    assert (done.returncode, passed.returncode, unknown.returncode) == (1, 0, 2)
    assert "kar_item.v9, item i3: contains 'answer'" in done.stderr
    assert "kar_item.v8, item i3: contains 'answer'." in done.stdout
    assert "kar_item.v9 passes all tests (1)." in passed.stdout
    assert "kar_item: it has no row about nobody" in unknown.stderr
    page = (shop.folder / "runs" / "prompts" / "kar_item-v8-v9-24-0-texts.html").read_text()
    assert "kar_item.v9 passes all tests (1)." in page
