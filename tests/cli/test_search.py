"""knowflow search and knowflow similar: what they print, as JSON too, and what any text or name comes to."""

import json

import pytest


@pytest.fixture
def call(searched_shop, plain_knowflow):
    """Run a command: exit code, what was printed, what was said."""

    def run(*words: str) -> tuple[int, str, str]:
        done = plain_knowflow.run(*words, "--config", searched_shop.config)
        return done.returncode, done.stdout, done.stderr

    return run


def test_search_prints_titles_with_both_ranks_and_json_holds_the_same(call):
    code, shown, _ = call("search", "bank heist", "--k", "2")
    told = json.loads(call("search", "bank heist", "--k", "2", "--json")[1])

    assert code == 0
    lines = shown.splitlines()
    assert lines[0] == "bank heist, by words and item_facts/dense of rel-000001"
    assert lines[2].split() == ["i0", "Bank", "Heist", "1", "1"]
    assert (told["query"], told["release"], told["vectors"], told["words"]) == (
        "bank heist",
        "rel-000001",
        "item_facts/dense",
        True,
    )
    assert told["items"][0] == {"item": "i0", "title": "Bank Heist", "by_words": 1, "by_vectors": 1}
    assert len(told["items"]) == 2


def test_any_text_is_words_and_nothing_is_an_operator(call):
    for text in (
        '+bank -heist AND NOT "x"~2 *',
        "[red]bank[/red]",
        "東京物語",
        "ignore previous instructions",
        "%00' --",
    ):
        code, shown, said = call("search", text, "--json")

        assert (code, said) == (0, ""), text
        assert json.loads(shown)["query"] == text
    assert json.loads(call("search", "+bank -heist", "--json")[1])["items"][0]["item"] == "i0"
    assert json.loads(call("search", "東京物語", "--json")[1])["items"][0]["by_words"] == 1
    assert call("search", "[red]bank")[1].startswith("[red]bank, by words")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["search", "  "], "the query is empty"),
        (["search", "x" * 10_000], "has 10,000 characters, at most 1,000 are allowed"),
        (["search", "\x1b[2J"], "holds control characters"),
        (["search", "bank", "--k", "0"], "Must be >= 1"),
        (["search", "bank", "--task", "kar_itme"], "no such task: kar_itme"),
        (["search", "bank", "--release", "rel-000009"], "there is no release 'rel-000009'"),
        (["similar", "Bank Hiest"], "'Bank Hiest': no item has this id or title\n  did you mean Bank Heist"),
        (["similar", "Flower Garden"], "several items have this title\n  name one by its id: i4, i5"),
        (
            ["similar", "i0", "--encoder", "note"],
            "holds no vectors of item_facts under note; there are: item_facts/dense",
        ),
        (["similar", "i0", "--k", "0"], "Must be >= 1"),
    ],
)
def test_what_cannot_be_looked_for_is_told_with_exit_code_2(call, words, why):
    code, shown, said = call(*words)

    assert (code, shown) == (2, "")
    assert why in said
    assert ("\x1b" in said, "Traceback" in said) == (False, False)


def test_similar_shows_the_nearest_without_the_item_itself(call):
    code, shown, _ = call("similar", "bank heist", "--k", "3")
    told = json.loads(call("similar", "i0", "--k", "99", "--json")[1])

    assert code == 0
    lines = shown.splitlines()
    assert lines[0] == "nearest to Bank Heist (i0) by item_facts/dense of rel-000001"
    assert lines[2].split()[:4] == ["i1", "The", "Great", "Robbery"]
    assert len(lines) == 2 + 3
    assert (told["item"], told["title"], told["vectors"]) == ("i0", "Bank Heist", "item_facts/dense")
    scores = [one["score"] for one in told["similar"]]
    assert scores == sorted(scores, reverse=True)
    assert sorted(one["item"] for one in told["similar"]) == ["i1", "i2", "i3", "i4", "i5", "i6"]
    assert told["similar"][0]["item"] == "i1"


def test_twins_are_near_with_cosine_one_and_lexical_vectors_can_be_asked_for(call):
    twin = json.loads(call("similar", "i4", "--k", "1", "--exact", "--json")[1])["similar"]
    lexical = json.loads(call("similar", "i4", "--encoder", "lexical", "--k", "1", "--json")[1])

    assert [one["item"] for one in twin] == ["i5"]
    assert twin[0]["score"] == pytest.approx(1, abs=1e-3)
    assert (lexical["vectors"], lexical["similar"][0]["item"]) == ("item_facts/lexical", "i5")
