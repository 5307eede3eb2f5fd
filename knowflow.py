"""KnowFlow from Python: what the command line does, with Polars frames in and out.

Example:
    >>> import knowflow as kf
    >>> shop = kf.open("shop/knowflow.yaml")
    >>> shop.plan().select("task", "rows", "calls").row(0)
    ('kar_item', 12, 0)

Errors are those of the command line: what is wrong, where, and what to change or run. `WrongUse`: a setting, a file or
a name cannot be used (exit code 2); `SourceFaults` and `NoRelease` are kinds of it. `CheckFailed`: a gate, a limit or a
process failed (exit code 1); `GatesClosed`, `ClicksFell` and `BudgetReached` are kinds of it. Rows that have no column
of times come after everything; `features` and `score` warn of that.

A package of another distribution in the place of one of KnowFlow's is an ImportError that names it. Importing this
module takes milliseconds: methods import what they need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
    from app.frames import Training
    from feature_store.releases import Release

__all__ = ["CheckFailed", "Project", "WrongUse", "open"]


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
class Project:
    """A knowflow.yaml with its data, its store and its models; `open` makes one.

    The file is read again by every method, so an edit of it is seen at once.
    """

    path: Path
    """The file."""
    progress: Progress | None = field(default=None, repr=False)
    """Called with the name of a long step, how much is done, and the total."""
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What `similar` has read, for its next question."""

    @property
    def config(self) -> Config:
        """The settings of knowflow.yaml as one frozen object.

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
            >>> shop.plan("kar_item").select("task", "cached", "new", "calls").to_dicts()
            [{'task': 'kar_item', 'cached': 12, 'new': 0, 'calls': 0}]
        """
        from app.frames import names_of, plan_frame

        return plan_frame(self.config, names_of(tasks))

    def refresh(
        self,
        tasks: Sequence[str] | None = None,
        *,
        engine: str | None = None,
        model: str | None = None,
        executor: Literal["local", "ray"] | None = None,
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
            executor: Where models run instead of knowflow.yaml's: in this process, or on a Ray cluster.
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
        from app.frames import names_of
        from flows.here import refresh_here

        limits = {"max_tokens": max_tokens, "max_cost": max_cost, "max_hours": max_hours}
        asking = Asking(engine=engine, model=model, executor=executor, **limits)
        told = self.progress or silent
        return refresh_here(self.path, names_of(tasks), asking, new_store=new_store, progress=told)[0]

    def release(self, name: str | None = None) -> Release:
        """Return a release: its name, when it was made, its vectors, gates and table versions.

        Args:
            name: Its name; None for the current one.

        Example:
            >>> current = shop.release()
            >>> current.name, [str(vectors) for vectors in current.vectors if vectors.technique == "item_facts"]
            ('rel-000001', ['item_facts/dense', 'item_facts/lexical'])
        """
        from app.workplace import open_store
        from feature_store.releases import get_release

        return get_release(open_store(self.config), name)

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

        All rows are kept, in their order; null = nothing was known yet. `knowflow features` takes files of any size.

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
            >>> made = shop.features(rows, tasks="item_facts", encoders=["lexical"])
            >>> made.columns
            ['user', 'item', 'clicked', 'item_facts_lexical', 'knowflow_release']
            >>> made["item_facts_lexical"].is_null().to_list()
            [False, True]
        """
        from app.feature_choice import FeatureChoice
        from app.features import features_of
        from app.frames import as_frame, names_of
        from app.given_rows import RowColumns

        choice = FeatureChoice(names_of(tasks), names_of(encoders), names_of(columns))
        named = RowColumns(user_column, item_column, time_column)
        return features_of(self.config, as_frame(frame), release, choice, named)

    def score(
        self,
        frame: Any,
        model: str = "knowledge",
        *,
        release: str | None = None,
        user_column: str | None = None,
        item_column: str | None = None,
        time_column: str | None = None,
    ) -> pl.DataFrame:
        """Score pairs of a user and an item with a kept model: the rows with a column `score`, a probability.

        Args:
            frame: The pairs, as a Polars, pandas or Arrow table: user, item, and time where there is one (null = live).
            model: An arm of the newest training run, RUN/ARM, or a model's folder.
            release: Release whose vectors to read; None for the one that the model was trained on.
            user_column: Column of users; None for `user`, or that of the events.
            item_column: Column of items; None for `item`, or that of the events.
            time_column: Column of times; None for `time`, or that of the events.

        Raises:
            WrongUse: There is no such model, or with everything that is wrong with the pairs.

        Example:
            >>> _ = shop.train("base")
            >>> scored = shop.score(pl.DataFrame({"user": ["u1", "u2"], "item": ["i7", "i8"]}), "base")
            >>> scored.columns, scored["score"].is_between(0, 1).all()
            (['user', 'item', 'score'], True)
        """
        from app.frames import as_frame
        from app.given_rows import RowColumns
        from app.kept_models import find_model
        from app.scoring import score_frame

        config, columns = self.config, RowColumns(user_column, item_column, time_column)
        return score_frame(config, find_model(config, model), as_frame(frame), release, columns)

    def similar(
        self,
        item: str,
        k: int = 10,
        *,
        task: str = "item_facts",
        encoder: str = "dense",
        release: str | None = None,
        exact: bool = False,
    ) -> pl.DataFrame:
        """Return the items nearest to an item: item, title, score (the cosine).

        The first question opens the vectors and reads the titles. This object keeps both for the next ones, as long as
        the release, the files of the data and their settings stay what they are.

        Args:
            item: Id or title of an item.
            k: How many.
            task: A technique about items.
            encoder: An encoder in knowflow.yaml.
            release: Name of a release; None for the current one.
            exact: Compare all vectors; otherwise 100,000 and more are searched by their index.

        Example:
            >>> shop.similar("Thing 7", k=3).columns
            ['item', 'title', 'score']
        """
        from app.frames import similar_frame

        return similar_frame(self.config, str(item), k, task, encoder, release, self._kept, exact=exact)

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
        from app.frames import search_frame

        return search_frame(self.config, text, k, task, encoder, release)

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
        from app.frames import rewrites_frame

        return rewrites_frame(self.config, query, release)

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

        The columns are task, as_of, created_at, text (what is encoded), prompt, model and answer.

        Args:
            kind: `user`, `item` or `query`.
            entity: Its id, as in the data.
            as_of: Time of the sample, in UTC where it has no zone; None for one after all events.
            tasks: Techniques; None for all.
            release: Name of a release; None for the current one.

        Example:
            >>> shop.knowledge("item", "i7", tasks=["item_facts"]).row(0, named=True)["text"]
            'Thing 7'
        """
        from app.frames import knowledge_frame, names_of

        return knowledge_frame(self.config, kind, str(entity), as_of, names_of(tasks), release)

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
        from app.frames import names_of, training_of
        from flows.here import train_here

        run = train_here(self.config, names_of(arms), release, progress=self.progress or silent)
        check_clicks(run)
        return training_of(run)
