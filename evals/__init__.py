"""Evaluation: metrics, intervals, segments and the report."""
