"""What versions cost: tokens of a row, and money and time of the sample and of all rows."""

from collections.abc import Callable, Mapping, Sequence

from evals.prompts.intervals import measured_by_row
from evals.trial import Figure, Measured, Trial, TrialAnswer

Price = Callable[[int, int], float]
"""(input tokens, output tokens) -> money."""


def measure_spend(
    trial: Trial, all_rows: int, price: Price, currency: str, seconds: Mapping[str, float | None], seed: int = 0
) -> list[Measured]:
    """Measure what every version costs; all rows are those of the technique, going by the mean row of the sample.

    Args:
        trial: The trial.
        all_rows: Number of all rows of the technique.
        price: Price of tokens.
        currency: Currency of the price.
        seconds: Version -> time of one call, going by past runs; None if there were none.
        seed: Seed of the intervals.
    """
    scale = all_rows / len(trial.rows) if trial.rows else 0.0
    tokens = [
        ("input_tokens", "Tokens of the prompt of a row.", lambda one: one.input_tokens),
        ("output_tokens", "Tokens of the answer of a row.", lambda one: one.output_tokens),
    ]
    made = [
        measured_by_row(name, about, "lower", _by_row(trial, of), kind="cost", seed=seed) for name, about, of in tokens
    ]
    costs = {v: sum(price(one.input_tokens, one.output_tokens) for one in trial.answers[v]) for v in trial.versions}
    rows = len(trial.rows)
    if any(costs.values()):
        made += [
            _total("cost", f"Price of asking about the sample, in {currency}.", costs, rows),
            _total(
                "cost_of_all",
                f"Price of asking about all {all_rows:,} rows, in {currency}, going by the sample.",
                {version: cost * scale for version, cost in costs.items()},
                rows,
            ),
        ]
    every = {v: sum(one.input_tokens + one.output_tokens for one in trial.answers[v]) * scale for v in trial.versions}
    made.append(
        _total("tokens_of_all", f"Tokens of all {all_rows:,} rows, in and out, going by the sample.", every, rows)
    )
    times = {v: None if (one := seconds.get(v)) is None else one * all_rows for v in trial.versions}
    if any(times.values()):
        about = f"Seconds that asking about all {all_rows:,} rows takes, going by past runs on this engine."
        made.append(_total("seconds_of_all", about, times, rows))
    return made


def _by_row(trial: Trial, of: Callable[[TrialAnswer], int]) -> dict[str, Sequence[float | None]]:
    return {v: [float(of(one)) for one in trial.answers[v]] for v in trial.versions}


def _total(name: str, about: str, totals: Mapping[str, float | None], rows: int) -> Measured:
    figures = {
        v: Figure(value, rows=rows, why="a total" if value is not None else "no past run")
        for v, value in totals.items()
    }
    return Measured(name, about, "cost", "lower", figures)
