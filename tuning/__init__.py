"""Tune models on your events, on instructions, or on what your search finds good."""
