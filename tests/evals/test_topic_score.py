"""TopicScore by hand: what is named and right, what there is and named."""

from evals.topic_score import topic_score


def test_correctness_counts_what_is_named_and_completeness_what_there_is():
    # Named: crime films (Crime), space (nothing), sci fi (Sci-Fi). There are Crime, Drama, Sci-Fi, War.
    assert topic_score(["crime films", "space", "sci fi"], ["Crime", "Drama", "Sci-Fi", "War"]) == (2 / 3, 2 / 4)


def test_nothing_named_is_0_and_no_topics_of_the_history_leave_it_open():
    assert topic_score([], ["Crime"]) == (0.0, 0.0)
    assert topic_score(["crime"], []) == (None, None)


def test_words_match_whole_and_in_any_case():
    assert topic_score(["WAR", "warm"], ["war"]) == (0.5, 1.0)
    assert topic_score(["", "--"], ["war"]) == (0.0, 0.0)
