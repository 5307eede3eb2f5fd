"""Features that are computed from the log and the vectors: what an adapter of the click models gives a row.

A row is one that did not happen: it reads the events strictly earlier than it, and no other row reads it. So its values
are those that a training sample of the same user, item and time has, whatever other rows are in the file. The log is
gone through again for every chunk of rows, which is why these are an option: thousands of rows a second, not hundreds
of thousands.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import polars as pl

from app.feature_choice import FeatureChoice, column_name
from base.faults import WrongUse
from base.plugins import choose
from ctr.adapters.catalogue import ADAPTERS
from ctr.adapters.protocol import Adapter
from ctr.samples import Samples, build_samples
from ctr.views import View
from feature_store.database import Store
from feature_store.features import Keys, vectors_series
from feature_store.releases import Release, released_knowledge
from feature_store.timeline import LIVE
from feature_store.vectors import Knowledge
from sources.events import histories
from sources.tables import Dataset

NOBODY = "\0nobody"
"""The id of a row that has none; no id of the data is like it."""


class Computed:
    """Computes what adapters give rows.

    Args:
        dataset: The log.
        knowledge: The vectors of items that the adapters read.
        adapters: The adapters.
        folds: Number of folds of what is fitted on items.
        length: Events in a history.
    """

    roles = ("user", "item")

    def __init__(
        self, dataset: Dataset, knowledge: Sequence[Knowledge], adapters: Sequence[Adapter], folds: int, length: int
    ) -> None:
        self._dataset, self._knowledge, self._adapters = dataset, knowledge, adapters
        self._folds, self._length = folds, length
        log = dataset.events["time"].dt.replace_time_zone(None).to_physical().to_numpy()
        known = (one.as_of.astype("datetime64[us]").astype(np.int64) for one in knowledge)
        self._live = int(np.concatenate([log, *known]).max(initial=0)) + 1
        alone = build_samples(dataset, histories(dataset.events, length))
        views = list(self._views(alone))
        self.schema: dict[str, pl.DataType] = {
            name: pl.Array(pl.Series(view.table[:0].ravel()).dtype, view.width) for name, _, view in views
        }
        self.meanings = {name: adapter.about for name, adapter, _ in views}
        """Column -> what it is."""

    def columns(self, keys: Keys) -> list[pl.Series]:
        """Compute the columns of some rows."""
        if not len(keys.time):
            return [pl.Series(name, [], dtype=kind) for name, kind in self.schema.items()]
        samples, count = self._samples(keys), len(keys.time)
        return [vectors_series(name, view.table, view.rows[-count:]) for name, _, view in self._views(samples)]

    def _views(self, samples: Samples) -> Iterator[tuple[str, Adapter, View]]:
        for adapter in self._adapters:
            for name, view in adapter.prepare(self._knowledge, samples, self._folds).items():
                parts = (adapter.name,) if name == adapter.name else (adapter.name, name)
                yield column_name(*parts), adapter, view

    def _samples(self, keys: Keys) -> Samples:
        """Build the samples of the log and, after them, of the rows."""
        time = pl.Series(np.where(keys.time == LIVE, self._live, keys.time)).cast(pl.Datetime("us"))
        ids = {role: getattr(keys, role).fill_null(NOBODY) for role in self.roles}
        asked = pl.DataFrame({**ids, "time": time.dt.replace_time_zone("UTC")})
        events, items = self._dataset.events, self._dataset.items
        asked = pl.concat([events.clear(), asked], how="diagonal")
        asked = asked.with_columns(pl.col("label").fill_null(0), pl.col("part").fill_null("none"))
        new = asked.select("item").unique(maintain_order=True).join(items, on="item", how="anti")
        both = pl.concat([events.select("user", "time"), asked.select("user", "time")])
        past = histories(both, self._length, np.arange(len(both)) < len(events))
        log = Dataset(**{**vars(self._dataset), "items": pl.concat([items, new], how="diagonal"), "sampled": None})
        return build_samples(log, past, asked=asked)


def computed_features(
    store: Store,
    release: Release,
    choice: FeatureChoice,
    load_dataset: Callable[[], Dataset],
    folds: int,
    length: int,
    plugins: Sequence = (),
) -> Computed | None:
    """Prepare the adapters that are wanted; None if none is.

    Args:
        store: The store.
        release: The release.
        choice: Which features are wanted; the adapters read the vectors of its tasks and encoders.
        load_dataset: Loads the log.
        folds: Number of folds of what is fitted on items.
        length: Events in a history.
        plugins: Folders of a team's own plug-ins.

    Raises:
        UnknownPlugin: There is no adapter of that name.
        WrongUse: One reads whole samples.
    """
    if not choice.adapters:
        return None
    chosen = choose(ADAPTERS, choice.adapters, plugins)
    adapters = [one for one in chosen if isinstance(one, Adapter)]
    if len(adapters) < len(chosen):
        whole = ", ".join(one.name for one in chosen if not isinstance(one, Adapter))
        raise WrongUse(f"--adapters: {whole} reads whole samples as examples, and gives no feature\n  leave it out")
    names = [one for one in release.vectors if choice.wants_task(one.task) and choice.wants_encoder(one.encoder)]
    knowledge = [released_knowledge(store, release, *name) for name in names]
    items = [one for one in knowledge if one.entity == "item"]
    return Computed(load_dataset(), items, adapters, folds, length)
