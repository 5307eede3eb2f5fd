"""The radix sort orders as NumPy's stable sort."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ctr.order import stable_order


@given(st.lists(st.integers(0, 2**62), max_size=40), st.integers(1, 2**62))
def test_the_order_is_that_of_a_stable_sort(codes, most):
    codes = np.array(codes, dtype=np.int64) % most

    np.testing.assert_array_equal(stable_order(codes), np.argsort(codes, kind="stable"))
