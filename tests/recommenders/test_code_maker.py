"""What makers of codes share: rows are told apart, and usage, entropy and collisions are those of their definitions."""

import math

import numpy as np
import pytest

from recommenders.code_maker import collision_rate, entropy, tell_apart, usage

CODES = np.array([[0, 1], [2, 1], [0, 1], [2, 3]], dtype=np.int32)


def test_rows_of_equal_codes_are_told_apart_by_a_count_in_their_order():
    apart = tell_apart(CODES)

    assert apart.tolist() == [[0, 1, 0], [2, 1, 0], [0, 1, 1], [2, 3, 0]]
    assert apart.dtype == np.int32
    assert collision_rate(apart) == 0


def test_half_of_the_rows_share_their_codes_with_another():
    assert collision_rate(CODES) == 0.5


def test_usage_and_entropy_of_each_level():
    assert usage(CODES, 4) == [0.5, 0.5]
    # Level 1: half and half, 1 bit. Level 2: three quarters and one quarter.
    assert entropy(CODES) == pytest.approx([1.0, -0.75 * math.log2(0.75) - 0.25 * math.log2(0.25)])
