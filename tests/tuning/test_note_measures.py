"""Measures of generated categories and hashtags, by hand and against the formulas of BLEU and chrF."""

import math
from collections import Counter

import pytest

from tuning.note_measures import measure_categories, measure_hashtags


def test_categories_are_right_wrong_or_made_up():
    found = measure_categories(
        ["Crime", " drama ", "Crime", "Heist"], ["Crime", "Drama", "War", "War"], ["Crime", "Drama", "War"]
    )

    assert (found.count, found.accuracy, found.illusory) == (4, 2 / 4, 1 / 4)


def test_hashtags_are_counted_whatever_their_order_and_capitals():
    found = measure_hashtags(["War, crime", "Drama", ""], [["Crime", "War", "Noir"], ["Drama"], ["War"]])

    assert found.precision == pytest.approx((1 + 1 + 0) / 3)
    assert found.recall == pytest.approx((2 / 3 + 1 + 0) / 3)


def bleu(written: list[str], true: list[str]) -> float:
    """Papineni et al. 2002 for texts of one reference, words already apart."""
    logs = 0.0
    for n in range(1, 5):
        matched = total = 0
        for one, other in zip(written, true, strict=True):
            have, want = (
                Counter(tuple(text.split()[at : at + n]) for at in range(len(text.split()) - n + 1))
                for text in (one, other)
            )
            matched += sum((have & want).values())
            total += sum(have.values())
        logs += math.log(matched / total) / 4
    lengths = [sum(len(text.split()) for text in texts) for texts in (written, true)]
    return 100 * math.exp(min(0.0, 1 - lengths[1] / lengths[0]) + logs)


def test_bleu_is_the_formula_and_a_perfect_text_has_the_highest_scores():
    true = [["a b c d e f"], ["g h i j k"]]
    written = ["a b c d x f", "g h i j"]

    assert measure_hashtags(written, true).bleu == pytest.approx(bleu(written, [tags[0] for tags in true]), abs=1e-6)
    perfect = measure_hashtags([tags[0] for tags in true], true)
    assert (perfect.bleu, perfect.chrf) == pytest.approx((100, 100))
    assert measure_hashtags(written, true).chrf < 100


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="0 generated texts for 0 items"):
        measure_categories([], [], ["War"])
    with pytest.raises(ValueError, match="1 generated texts for 2 items"):
        measure_hashtags(["War"], [["War"], ["Crime"]])
