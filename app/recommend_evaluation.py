"""Evaluates recommenders: each is fitted on training events and asked at the moment of every test event.

A request is a user at the moment of a test event, with the user's strictly earlier events. Wanted are the items that
the user liked then and had not had before. All items that the user has not had are candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from app.config import Config
from app.options import options_of, task_and_encoder
from app.workplace import open_dataset, open_store
from base.faults import WrongUse
from base.frozen import Frozen
from base.plugins import choose, find
from base.progress import Progress
from ctr.samples import codes_of
from evals.by_user import REPLICATES
from evals.measures.protocol import MEASURES
from evals.top_k import Asked, evaluate, item_and_user_segments
from feature_store.codes import released_codes
from feature_store.lineage import texts_before
from feature_store.releases import NoRelease, get_release, released_knowledge, released_texts
from recommenders.kept import keep
from recommenders.log import Log, Requests, log_of, requests_at
from recommenders.popularity import liked_events
from recommenders.protocol import RECOMMENDERS, Context, Recommender
from recommenders.ranking import check
from recommenders.vectors import vectors_at
from sources.tables import Dataset

AT = (5, 10, 50)
CONTROLS = ("popularity", "cooccurrence", "random")
"""Recommenders to compare every other one with; they are always evaluated."""
FOLDER = "recommenders"
"""Folder of the fitted recommenders, in the home folder."""


@dataclass(frozen=True)
class Test:
    """The requests of the test, and the wanted items."""

    requests: Requests
    """Q requests."""
    row: np.ndarray
    """[T] int64: the request of each wanted item."""
    item: np.ndarray
    """[T] int64: its index."""


def evaluate_recommenders(
    config: Config,
    progress: Progress,
    names: Sequence[str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    release: str | None = None,
    seeds: int = 1,
    part: str = "test",
    at: Sequence[int] = AT,
    peers: Sequence[str] = (),
) -> dict[str, Any]:
    """Fit recommenders, keep them, and measure their lists.

    Args:
        config: The config; recommenders and measures of its `plugins:` are found too.
        progress: Told how far it is.
        names: Recommenders; all there are when left out. The controls are always among them.
        options: Recommender -> options that go before those of the config.
        release: Name of the release whose vectors are read; the current one when left out.
        seeds: How often each is fitted; figures are means over the seeds, and the first one is kept.
        part: The part of the split that is asked; `validation` is for choosing options.
        at: Lengths of the lists.
        peers: Recommenders, evaluated too, that every other one is compared with beside the controls.

    Returns:
        Plain JSON: `models` and `segments` from `evals.top_k.evaluate`, `about`, `options`, `left_out` and so on.

    Raises:
        UnknownPlugin: A name is not a recommender.
        WrongUse: An option is invalid, or no item is wanted in the test.
        NoRelease: A named recommender reads vectors that the release lacks.
        PluginFault: A recommender breaks the protocol.
    """
    plugins = config.plugin_folders
    known = find(RECOMMENDERS, plugins)
    compared = list(dict.fromkeys([*CONTROLS, *peers]))
    chosen = choose(RECOMMENDERS, list(dict.fromkeys([*compared, *(names or known)])), plugins)
    settings = {one.name: options_of(one, _given(config, one.name, options or {})) for one in chosen}
    choose(RECOMMENDERS, list(options or {}), plugins)
    dataset = open_dataset(config)
    log, items = log_of(dataset), dataset.items["item"].to_list()
    train = log.where((dataset.events["part"] == "train").to_numpy())
    test = find_test(dataset, log, part)
    fitting = _Fitting(config, dataset, train, test, release, at)
    rankings, left_out = _all_lists(fitting, chosen, settings, seeds, names or (), progress)
    users, user = np.unique(test.requests.user, return_inverse=True)
    asked = Asked(test.row, test.item, user, liked_events(train, len(items)))
    segments = item_and_user_segments(asked, _events_of(train, users))
    measures = find(MEASURES, plugins)
    found = evaluate(rankings, asked, segments, list(measures.values()), at, compared)
    return {
        **found,
        "about": {one.name: one.about for one in chosen if one.name in rankings},
        "measures": {name: measure.about for name, measure in measures.items()},
        "controls": compared,
        "at": list(at),
        "options": {name: one.model_dump(mode="json") for name, one in settings.items()},
        "left_out": left_out,
        "part": part,
        "seeds": seeds,
        "items": len(items),
        "train": {"events": len(train.user), "liked": int(train.label.sum()), "seen_until": _newest(train)},
        "bootstrap": {"unit": "users", "replicates": REPLICATES, "seed": 0},
    }


def _given(config: Config, name: str, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Options of knowflow.yaml, and those of the caller before them."""
    configured = config.recommenders.get(name)
    return {**(configured.model_dump(exclude_unset=True) if configured else {}), **options.get(name, {})}


def _all_lists(
    fitting: "_Fitting",
    chosen: Sequence[Recommender],
    settings: Mapping[str, Frozen],
    seeds: int,
    named: Sequence[str],
    progress: Progress,
) -> tuple[dict[str, list[np.ndarray]], dict[str, str]]:
    """Fit every recommender with every seed; return the lists, and the reason for each unnamed one left out."""
    rankings: dict[str, list[np.ndarray]] = {}
    left_out: dict[str, str] = {}
    for done, one in enumerate(chosen):
        progress("recommenders", done, len(chosen))
        try:
            rankings[one.name] = [fitting.lists_of(one, settings[one.name], seed, progress) for seed in range(seeds)]
        except NoRelease as error:
            if one.name in named:
                raise
            left_out[one.name] = str(error).splitlines()[0]
    progress("recommenders", len(chosen), len(chosen))
    return rankings, left_out


def find_test(dataset: Dataset, log: Log, part: str) -> Test:
    """Make one request for each moment at which a user has liked events in a part of the split.

    Raises:
        WrongUse: There is no such moment.
    """
    tests = (dataset.events["part"] == part).to_numpy() & (log.label == 1)
    columns = {"user": log.user[tests], "time": log.time[tests], "item": log.item[tests]}
    liked = pl.DataFrame(columns).unique(maintain_order=True)
    before = _requests(log, liked)
    again = np.unique(before.row[before.past.item == liked["item"].to_numpy()[before.row]])
    wanted = liked.filter(~np.isin(np.arange(len(liked)), again))
    if wanted.is_empty():
        what = f"no {part} event is a like of an item that is new to its user"
        raise WrongUse(f"{what}\n  set a larger {part} part under split: in knowflow.yaml")
    moments = wanted.select("user", "time").unique(maintain_order=True).with_row_index("row")
    found = wanted.join(moments, on=["user", "time"], maintain_order="left")
    return Test(_requests(log, moments), found["row"].to_numpy().astype(np.int64), found["item"].to_numpy())


def _requests(log: Log, asked: pl.DataFrame) -> Requests:
    """Make one request per row of user and time."""
    return requests_at(log, asked["user"].to_numpy().astype(str), asked["time"].to_numpy().astype("datetime64[us]"))


@dataclass(frozen=True)
class _Fitting:
    """What all recommenders share while they are fitted."""

    config: Config
    dataset: Dataset
    train: Log
    test: Test
    release: str | None
    at: Sequence[int]

    def lists_of(self, one: Recommender, options: Frozen, seed: int, progress: Progress) -> np.ndarray:
        """Fit a recommender, keep it, and return its lists for the test: [Q, k]."""
        items = self.dataset.items["item"].to_list()
        first = self.test.requests.time.min()
        released = Released(self.config, self.release, items, first)
        context = Context(
            self.train, self.dataset.items, released.vectors, released.codes, seed, progress, released.texts
        )
        model = one.fit(context, options)
        if not seed:
            about = {"seen_until": _newest(self.train), "data_version": self.dataset.version}
            keep(self.config.home_folder / FOLDER / one.name, one, options, model, items, about)
        ranked = model.recommend(self.test.requests, max(self.at))
        check(ranked, self.test.requests, max(self.at), len(items), one.name)
        return ranked.items


@dataclass(frozen=True)
class Released:
    """Reads the knowledge of a release about items, as it was known strictly before the first moment served."""

    config: Config
    """The config."""
    release: str | None
    """Name of the release; None for the current one."""
    items: Sequence[str]
    """[I] ids."""
    first: np.datetime64
    """The first moment served."""

    def vectors(self, name: str) -> np.ndarray:
        """Read vectors by technique/encoder: [I, d] float32, zeros where nothing was known."""
        store = open_store(self.config)
        knowledge = released_knowledge(store, get_release(store, self.release), *task_and_encoder(name))
        _check_items(name, knowledge.entity)
        return vectors_at(knowledge, self.items, self.first)

    def codes(self, name: str) -> np.ndarray:
        """Read codes by the name of their set: [I, L] int32, -1 where nothing was known."""
        store = open_store(self.config)
        codes = released_codes(store, get_release(store, self.release), name)
        _check_items(name, codes.entity)
        return codes.at(np.array(self.items), np.full(len(self.items), self.first))

    def texts(self, name: str) -> dict[str, str]:
        """Read the newest texts of a technique: entity -> text."""
        store = open_store(self.config)
        before = self.first.astype(datetime).replace(tzinfo=UTC)
        return texts_before(released_texts(store, get_release(store, self.release), name), before)


def _check_items(name: str, entity: str) -> None:
    if entity != "item":
        raise WrongUse(
            f"{name}: is about each {entity}, but a recommender reads knowledge about items\n  choose another one"
        )


def _events_of(log: Log, users: np.ndarray) -> np.ndarray:
    """Count the events of each user: [U] float64."""
    code = codes_of(log.user, users)
    return np.bincount(code[code >= 0], minlength=len(users)).astype(np.float64)


def _newest(log: Log) -> str:
    """Return the time of the newest event, in ISO format."""
    return log.time.max().astype(datetime).replace(tzinfo=UTC).isoformat()
