"""Measures of lists of items: each an object of its own, found by walking this folder."""
