"""Measures of lists of items, found by searching this folder."""
