"""Backbones: models that score a sample from its fields."""
