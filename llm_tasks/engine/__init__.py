"""Engines: the only place where a model answers."""
