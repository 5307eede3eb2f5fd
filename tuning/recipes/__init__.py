"""Tuning recipes, one file each."""
