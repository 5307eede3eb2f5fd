"""Vectors: one length, and ranked by the nearest of a document's texts."""

import numpy as np

from retrieval.vectors import dense_ranking, unit_length


def test_vectors_have_length_one_and_zeros_stay():
    found = unit_length(np.array([[3, 4], [0, 0], [-2, 0]], dtype=np.float64))

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [-1, 0]], atol=1e-7)


def test_a_document_is_as_near_as_the_nearest_of_its_texts():
    first = np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32)
    second = np.array([[0, 1], [0, 1], [0.8, 0.6]], dtype=np.float32)
    asked = np.array([[1, 0]], dtype=np.float32)

    assert dense_ranking(asked, [first], 4).tolist() == [[0, 1, 2, -1]]  # ties by place
    assert dense_ranking(asked, [first, second], 2).tolist() == [[0, 2]]
