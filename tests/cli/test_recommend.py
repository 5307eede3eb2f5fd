"""knowflow recommend: what a kept recommender names for a user, as of now or of a moment, and wrong use in words."""

import json

import pytest


@pytest.fixture
def fitted(make_shop, plain_knowflow):
    """A shop whose controls are fitted and kept."""
    shop = make_shop(items=60, users=25, events=20)
    done = plain_knowflow.run("eval", "recommend", "--config", shop.config, "--model", "cooccurrence")
    assert done.returncode == 0, done.stderr
    return shop


def test_items_that_the_user_has_not_had_are_named_with_titles_the_best_first(fitted, plain_knowflow):
    call = ("recommend", "u3", "--config", fitted.config, "-k", "4")

    shown = plain_knowflow.run(*call)
    told = json.loads(plain_knowflow.run(*call, "--json").stdout)

    had = {item for user, item, *_ in fitted.events() if user == "u3"}
    assert (told["user"], told["recommender"], told["events"]) == ("u3", "cooccurrence", 20)
    assert len(told["items"]) == 4
    assert not {one["item"] for one in told["items"]} & had
    scores = [one["score"] for one in told["items"]]
    assert scores == sorted(scores, reverse=True)
    assert all(one["title"] == f"Thing {one['item'][1:]}" for one in told["items"])
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[0].startswith("for u3 by cooccurrence, ")
    assert shown.stdout.splitlines()[2].split()[:3] == [told["items"][0]["item"], "Thing", told["items"][0]["item"][1:]]


def test_a_moment_hides_what_the_user_did_at_it_and_later_and_says_so_of_the_fit(fitted, plain_knowflow):
    times = sorted(time for user, _, time, _ in fitted.events() if user == "u3")
    config = ("--config", fitted.config, "--as-of", times[2].strftime("%Y-%m-%dT%H:%M:%S"))

    done = plain_knowflow.run("recommend", "u3", *config)
    told = json.loads(plain_knowflow.run("recommend", "u3", *config, "--json").stdout)

    assert told["events"] == 2  # the third one happened at that moment
    assert "cooccurrence was fitted on events until 2024-01-01T" in done.stderr
    assert "later than the moment that is asked" in done.stderr


def test_a_user_without_events_is_answered_and_items_that_came_after_the_fit_are_left_out(fitted, plain_knowflow):
    fitted.write_items({"new": "New", **{f"i{place}": f"Thing {place}" for place in range(60)}})
    (user, _, time, rating) = fitted.events()[0]
    fitted.write_events([*fitted.events(), (user, "new", time.replace(year=2025), rating)])

    nobody = plain_knowflow.run("recommend", "nobody", "--config", fitted.config, "--recommender", "popularity")
    somebody = plain_knowflow.run("recommend", user, "--config", fitted.config, "--json")

    assert nobody.returncode == 0, nobody.stderr
    assert "the log holds no events of nobody before the moment: this is what any new user gets" in nobody.stderr
    told = json.loads(somebody.stdout)
    assert told["events"] == 20  # the 21st is of an item that the model does not know
    had = {item for name, item, *_ in fitted.events() if name == user}
    assert not {one["item"] for one in told["items"]} & had


def test_what_is_not_kept_or_no_recommender_is_told_with_the_command_to_run(shop, plain_knowflow):
    config = ("--config", shop.config)

    missing = plain_knowflow.run("recommend", "u1", *config, "--recommender", "star")
    unknown = plain_knowflow.run("recommend", "u1", *config, "--recommender", "nobody")
    wrong = plain_knowflow.run("recommend", "u1", *config, "--as-of", "yesterday")

    assert [one.returncode for one in (missing, unknown, wrong)] == [2, 2, 2]
    assert missing.stderr.endswith("holds no fitted recommender\n  fit one: knowflow eval recommend --model star\n")
    assert unknown.stderr.startswith("no such recommender: nobody\n  there are: ")
    assert wrong.stderr.endswith("\n  see: knowflow recommend --help\n")
