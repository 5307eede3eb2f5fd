"""Flows: the only room that knows Prefect; each flow is a table of contents of one job."""
