"""KnowFlow from Python: what the command line does, with Polars frames in and out.

Example:
    >>> import knowflow as kf
    >>> shop = kf.open("shop/knowflow.yaml")
    >>> shop.plan().select("task", "rows", "calls").row(0)
    ('kar_item', 12, 0)

Errors are those of the command line, with the same text: what is wrong, where, and what to change or run.

- `WrongUse`: a setting, a file or a name cannot be used (the command line ends with exit code 2). Its subclasses are
  `sources.faults.SourceFaults` (knowflow.yaml or the data, all faults at once) and `feature_store.releases.NoRelease`.
- `CheckFailed`: a gate, a limit or a process failed (exit code 1). Its subclasses are `feature_store.gate.GatesClosed`,
  `feature_store.gate.ClicksFell` and `llm_tasks.pipeline.budget.BudgetReached`.

A package of another distribution in the place of one of KnowFlow's, such as `cli`, is an ImportError that names it.
Importing this module takes some milliseconds: every method imports what it needs when it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import knowflow_start

knowflow_start.check_rooms()

from base.faults import CheckFailed, WrongUse  # noqa: E402 - only now is it certain whose it is
from base.progress import Progress, silent  # noqa: E402

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from app.config import Config
    from app.train_runs import TrainRun
    from feature_store.releases import Release

__all__ = ["CheckFailed", "Project", "Training", "WrongUse", "open"]


def open(path: str | Path = "knowflow.yaml", progress: Progress | None = None) -> Project:
    """Open a knowflow.yaml.

    Args:
        path: The file.
        progress: Called with the name of a long step, how much is done, and the total.

    Raises:
        WrongUse: The file is not there, or has faults; all of them at once.

    Example:
        >>> open("shop/knowflow.yaml")
        Project(path=PosixPath('shop/knowflow.yaml'))
    """
    project = Project(Path(path), progress)
    _ = project.config
    return project


@dataclass(frozen=True)
class Training:
    """A finished training run."""

    run: str
    """Its name, such as train-000001; `Project.score` reads the models that it kept."""
    arms: pl.DataFrame
    """One row an arm: metrics on the test rows, means over seeds."""
    gains: pl.DataFrame
    """One row an arm with a trained control: its AUC gains, with 95% intervals."""
    conclusion: str
    """What the comparison shows, in words."""
    result: dict[str, Any]
    """The whole result, as `knowflow train --json` prints it."""


@dataclass(frozen=True)
class Project:
    """A knowflow.yaml with its data, its store and its models; `open` makes one.

    The file is read again by every method, so an edit of it is seen at once.
    """

    path: Path
    """The file."""
    progress: Progress | None = field(default=None, repr=False)
    """Called with the name of a long step, how much is done, and the total."""

    @property
    def config(self) -> Config:
        """The settings of knowflow.yaml as one frozen object.

        Raises:
            WrongUse: The file is not there, or has faults; all of them at once.

        Example:
            >>> shop.config.domain
            'generic'
        """
        from app.config import load_config

        return load_config(self.path)

    def plan(self, tasks: Sequence[str] | None = None) -> pl.DataFrame:
        """Plan a refresh: one row a technique, with calls, tokens and cost. Writes nothing.

        Args:
            tasks: Techniques; None for those of knowflow.yaml.

        Example:
            >>> shop.plan(["kar_item"]).select("task", "cached", "new", "calls").to_dicts()
            [{'task': 'kar_item', 'cached': 12, 'new': 0, 'calls': 0}]
        """
        import polars as pl

        from app.workplace import plan

        config = self.config
        rows = [config.prices.priced(planned.summary()) for planned in plan(config, tasks)]
        plain = [{name: value for name, value in row.items() if not isinstance(value, dict | list)} for row in rows]
        return pl.DataFrame(plain, infer_schema_length=None)

    def refresh(
        self,
        tasks: Sequence[str] | None = None,
        *,
        engine: str | None = None,
        model: str | None = None,
        max_tokens: int | None = None,
        max_cost: float | None = None,
        max_hours: float | None = None,
        new_store: bool = False,
    ) -> Release:
        """Ask what is new, encode it, publish a release when all gates hold; after a kill, call it again.

        Args:
            tasks: Techniques; None for those of knowflow.yaml.
            engine: Engine to use instead of knowflow.yaml's.
            model: Model to use instead of knowflow.yaml's.
            max_tokens: Stop after this many tokens, input and output together.
            max_cost: Stop after spending this much, by `prices` in knowflow.yaml.
            max_hours: Stop asking after this many hours.
            new_store: Begin a new store although this project had one, which is gone.

        Returns:
            The release that is current afterwards.

        Raises:
            CheckFailed: A gate stops the release, or a limit is reached.

        Example:
            >>> shop.refresh(["item_facts"]).name
            'rel-000001'
        """
        from app.asking import Asking
        from flows.here import refresh_here

        limits = Asking(engine=engine, model=model, max_tokens=max_tokens, max_cost=max_cost, max_hours=max_hours)
        with self._reporting():
            release, _ = refresh_here(self.path, tasks, limits, new_store=new_store)
        return release

    def release(self, name: str | None = None) -> Release:
        """Return a release: its name, when it was made, its vectors, gates and table versions.

        Args:
            name: Its name; None for the current one.

        Example:
            >>> current = shop.release()
            >>> current.name, [str(vectors) for vectors in current.vectors if vectors.technique == "item_facts"]
            ('rel-000001', ['item_facts/dense', 'item_facts/lexical'])
        """
        return self._opened(name)[2]

    def features(
        self,
        frame: Any,
        *,
        release: str | None = None,
        tasks: Sequence[str] | None = None,
        encoders: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        user_column: str | None = None,
        item_column: str | None = None,
        time_column: str | None = None,
    ) -> pl.DataFrame:
        """Add to rows what a release knew of their users and items strictly before their times.

        All rows are kept, in their order; a feature is null where nothing was known yet. `knowflow features` does the
        same from file to file, whatever their size.

        Args:
            frame: The rows, as a Polars, pandas or Arrow table: user, item, time (null = after everything), any others.
            release: Name of a release; None for the current one.
            tasks: Techniques; None for all about users and items.
            encoders: Encoders of vectors; None for all.
            columns: Features, or patterns such as `kar_*`; None for all but texts.
            user_column: Column of users; None for `user`, or that of the events.
            item_column: Column of items; None for `item`, or that of the events.
            time_column: Column of times; None for `time`, or that of the events.

        Raises:
            WrongUse: With everything that is wrong with the rows or the choice.

        Example:
            >>> import polars as pl
            >>> rows = pl.DataFrame({"user": ["u1", "u2"], "item": ["i7", "new"], "clicked": [1, 0]})
            >>> made = shop.features(rows, tasks=["item_facts"], encoders=["lexical"])
            >>> made.columns
            ['user', 'item', 'clicked', 'item_facts_lexical', 'knowflow_release']
            >>> made["item_facts_lexical"].is_null().to_list()
            [False, True]
        """
        from app.feature_choice import FeatureChoice
        from app.feature_rows import RowColumns
        from app.features import features_of

        of, by, only = (tuple(names) if names is not None else None for names in (tasks, encoders, columns))
        choice, named = FeatureChoice(of, by, only), RowColumns(user_column, item_column, time_column)
        return features_of(self.config, _rows(frame), release, choice, named)

    def score(
        self,
        frame: Any,
        model: str = "knowledge",
        *,
        release: str | None = None,
        user_column: str = "user",
        item_column: str = "item",
        time_column: str = "time",
    ) -> pl.DataFrame:
        """Score pairs of a user and an item with a kept model: the rows with a column `score`, a probability.

        Args:
            frame: The pairs, as a Polars, pandas or Arrow table: user, item, and time where there is one (null = live).
            model: An arm of the newest training run, RUN/ARM, or a model's folder.
            release: Release whose vectors to read; None for the one that the model was trained on.
            user_column: Column of users.
            item_column: Column of items.
            time_column: Column of times.

        Raises:
            WrongUse: There is no such model, or with everything that is wrong with the pairs.

        Example:
            >>> _ = shop.train(["base"])
            >>> scored = shop.score(pl.DataFrame({"user": ["u1", "u2"], "item": ["i7", "i8"]}), "base")
            >>> scored.columns, scored["score"].is_between(0, 1).all()
            (['user', 'item', 'score'], True)
        """
        from app.kept_models import find_model
        from app.scoring import PairColumns, score_pairs

        config, columns = self.config, PairColumns(user_column, item_column, time_column)
        return score_pairs(config, find_model(config, model), _rows(frame), release, columns)

    def similar(
        self, item: str, k: int = 10, *, task: str = "item_facts", encoder: str = "dense", release: str | None = None
    ) -> pl.DataFrame:
        """Return the items nearest to an item: item, title, score (the cosine).

        Args:
            item: Id or title of an item.
            k: How many.
            task: A technique about items.
            encoder: An encoder in knowflow.yaml.
            release: Name of a release; None for the current one.

        Example:
            >>> shop.similar("Thing 7", k=3).columns
            ['item', 'title', 'score']
        """
        from app.workplace import open_dataset
        from retrieval.similar import find_item, similar_items

        config, store, chosen = self._opened(release)
        items = open_dataset(config).items
        near = similar_items(store, chosen, task, encoder, find_item(items, str(item)), k)
        return _with_titles([asdict(one) for one in near], items, {"score": "Float64"})

    def search(
        self, text: str, k: int = 10, *, task: str | None = None, encoder: str | None = None, release: str | None = None
    ) -> pl.DataFrame:
        """Find items by a text: item, title, and the rank by words and by vectors, null where it has none.

        Args:
            text: What to look for, as a user would type it.
            k: How many.
            task: A technique about items whose vectors are searched; None for item_facts.
            encoder: Its encoder, which also encodes the text; None for dense.
            release: Name of a release; None for the current one.

        Example:
            >>> shop.search("thing 7", k=3)["title"][0]
            'Thing 7'
        """
        from app.search import search_items
        from app.workplace import open_dataset
        from sources.queries import check_query

        config, store, chosen = self._opened(release)
        check_query(text, config.source.longest_query)
        found = search_items(config, store, chosen, text, k, task, encoder)
        ranks = {"by_words": "Int64", "by_vectors": "Int64"}
        return _with_titles([asdict(one) for one in found.items], open_dataset(config).items, ranks)

    def rewrites(self, query: str, *, release: str | None = None) -> pl.DataFrame:
        """Return what to search for instead of a query, best first: text, score, relevance, increment, source, why.

        A query without rewrites comes back as it is, with source `fallback` and the reason.

        Args:
            query: The query, as a user would type it.
            release: Name of a release; None for the current one.

        Example:
            >>> shop.rewrites("a warm film").select("text", "source").rows()
            [('a warm film', 'fallback')]
        """
        import polars as pl

        from retrieval.rewrites import look_up
        from sources.queries import check_query

        config, store, chosen = self._opened(release)
        check_query(query, config.source.longest_query)
        served = look_up(store, chosen, query)
        numbers = dict.fromkeys(("score", "relevance", "increment"), pl.Float64)
        schema = {"text": pl.String, **numbers}
        table = pl.DataFrame([asdict(one) for one in served.rewrites], schema=schema)
        return table.with_columns(pl.lit(served.source).alias("source"), pl.lit(served.why, pl.String).alias("why"))

    def knowledge(
        self,
        kind: Literal["user", "item", "query"],
        entity: str,
        *,
        as_of: datetime | None = None,
        tasks: Sequence[str] | None = None,
        release: str | None = None,
    ) -> pl.DataFrame:
        """Return what a sample at a moment would have seen of an entity, one row a technique.

        Args:
            kind: `user`, `item` or `query`.
            entity: Its id, as in the data.
            as_of: Time of the sample, in UTC where it has no zone; None for one after all events.
            tasks: Techniques; None for all.
            release: Name of a release; None for the current one.

        Returns:
            task, as_of, created_at, text (what is encoded), prompt, model, answer (the model's whole answer).

        Example:
            >>> shop.knowledge("item", "i7", tasks=["item_facts"]).row(0, named=True)["text"]
            'Thing 7'
        """
        from datetime import UTC

        import polars as pl

        from feature_store.lookup import look_up

        _, store, chosen = self._opened(release)
        moment = as_of.replace(tzinfo=UTC) if as_of is not None and as_of.tzinfo is None else as_of
        texts = [
            one for one in look_up(store, chosen, kind, str(entity), moment).texts if not tasks or one.task in tasks
        ]
        times = dict.fromkeys(("as_of", "created_at"), pl.Datetime("us", "UTC"))
        schema = {"task": pl.String, **times, **dict.fromkeys(("text", "prompt", "model", "answer"), pl.String)}
        return pl.DataFrame([{name: getattr(one, name) for name in schema} for one in texts], schema=schema)

    def train(self, arms: Sequence[str] | None = None, *, release: str | None = None) -> Training:
        """Train arms on a release, several seeds each, and compare them.

        Args:
            arms: Names of arms; None for `train.arms` of knowflow.yaml. A technique's name is an arm too.
            release: Name of a release; None for the current one.

        Raises:
            CheckFailed: Training failed, or the gate over clicks is closed (the run is kept).

        Example:
            >>> shop.train(["base", "facts"]).arms["arm"].to_list()
            ['constant', 'base', 'facts']
        """
        from app.clicks import check_clicks
        from flows.here import train_here

        with self._reporting():
            run = train_here(self.config, arms, release)
        check_clicks(run)
        return _training(run)

    def _opened(self, release: str | None) -> tuple[Config, Any, Release]:
        from app.workplace import open_store
        from feature_store.releases import get_release

        config = self.config
        store = open_store(config)
        return config, store, get_release(store, release)

    def _reporting(self) -> AbstractContextManager[None]:
        from app.progress import reporting_to

        return reporting_to(self.progress or silent)


def _rows(frame: Any) -> pl.DataFrame:
    """Take a table of another library as a Polars frame.

    Raises:
        WrongUse: It is no table.
    """
    import polars as pl

    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "columns"):
        return pl.from_pandas(frame)  # without its index
    if hasattr(frame, "__arrow_c_stream__"):
        return pl.DataFrame(frame)
    raise WrongUse(f"rows: {type(frame).__name__} is no table\n  give a Polars, pandas or Arrow table")


def _training(run: TrainRun) -> Training:
    import polars as pl

    from evals.tables import arm_rows, gain_rows

    result = run.read("result")
    arms, gains = (pl.DataFrame(rows(result)) for rows in (arm_rows, gain_rows))
    return Training(run.name, arms, gains, result["conclusion"], result)


def _with_titles(rows: list[dict[str, Any]], items: pl.DataFrame, others: dict[str, str]) -> pl.DataFrame:
    """Make a frame of found items with their titles, in the order in which they were found."""
    import polars as pl

    schema = {"item": pl.String, **{name: getattr(pl, kind) for name, kind in others.items()}}
    titled = items.select("item", "title")
    found = pl.DataFrame(rows, schema=schema).join(titled, on="item", how="left", maintain_order="left")
    return found.select("item", "title", *others)
