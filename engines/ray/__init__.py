"""Answers on the machines of a Ray cluster: the configured engine in actors. Only this package imports Ray."""
