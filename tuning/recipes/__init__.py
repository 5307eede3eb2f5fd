"""Recipes of tuning: one file each."""
