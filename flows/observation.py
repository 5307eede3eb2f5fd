"""Report the progress of a generation run: the command line's bar, a Prefect artifact, a file of metrics."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prometheus_client import CollectorRegistry, Counter, Gauge, write_to_textfile

from app.progress import observer
from llm_tasks.pipeline.meter import Observe, Reading

SECONDS_BETWEEN_ARTIFACTS = 5.0
"""Each update is a request to Prefect's server."""
METRICS = "metrics"
"""Folder in the home: one file per technique, for node_exporter's textfile collector or any scraper of files."""


@contextmanager
def observing(home: Path, task: str) -> Iterator[Observe]:
    """Observe one technique's generation run, inside a Prefect task.

    Args:
        home: Folder of the store and the reports; the metrics are written to `metrics/` in it.
        task: Name of the technique.

    Yields:
        The callback for readings of the run.
    """
    watch, file = observer(), home / METRICS / f"knowflow_{task}.prom"
    artifact: UUID | None = None
    updated_at = 0.0
    newest: Reading | None = None

    def update(reading: Reading) -> None:
        nonlocal artifact, updated_at
        share, text = 100 * reading.done / max(reading.total, 1), reading.line()
        if artifact is None:
            key = f"asking-{task.replace('_', '-')}"
            artifact = cast(UUID, create_progress_artifact(share, key=key, description=text))
        else:
            update_progress_artifact(artifact, share, description=text)
        updated_at = time.monotonic()

    def observe(reading: Reading) -> None:
        nonlocal newest
        newest = reading
        watch(reading)
        write_metrics(reading, file)
        if time.monotonic() - updated_at >= SECONDS_BETWEEN_ARTIFACTS:
            update(reading)

    try:
        yield observe
    finally:
        if newest is not None:
            update(newest)


def write_metrics(reading: Reading, file: Path) -> None:
    """Write a reading in Prometheus' text format; the file is replaced atomically.

    Names follow OpenTelemetry's conventions for generative AI where they exist (`gen_ai_token_type`).
    """
    registry, task = CollectorRegistry(), reading.task
    calls = Counter("knowflow_calls", "Calls that came back", ["task"], registry=registry)
    calls.labels(task).inc(reading.done)
    errors = Counter("knowflow_errors", "Calls that came back as an error", ["task", "error_type"], registry=registry)
    for kind, count in reading.errors.items():
        errors.labels(task, kind).inc(count)
    tokens = Counter("knowflow_tokens", "Tokens used", ["task", "gen_ai_token_type"], registry=registry)
    for kind, count in (
        ("input", reading.input_tokens),
        ("cached", reading.cached_tokens),
        ("output", reading.output_tokens),
    ):
        tokens.labels(task, kind).inc(count)
    cost = Counter("knowflow_cost", "Cost by the prices of knowflow.yaml", ["task", "currency"], registry=registry)
    cost.labels(task, reading.currency).inc(reading.cost)
    for name, text, value in (
        ("knowflow_calls_planned", "Calls to be made in this run", reading.total),
        ("knowflow_run_seconds", "Seconds since the run began", reading.seconds),
        ("knowflow_calls_per_second", "Speed", reading.rows_per_second),
        ("knowflow_seconds_left", "Time to the end at this speed", reading.seconds_left or 0.0),
    ):
        Gauge(name, text, ["task"], registry=registry).labels(task).set(value)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(file), registry)
