"""Shared by all tests: a tiny shop of one's own, shops that are made once, the MovieLens example in a temporary folder.

`session.py` has what the processes of a run share, `command.py` the command line, `forked.py` processes.
"""

import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
HELPERS = Path(__file__).resolve().parent / "helpers"
EXAMPLE = ROOT / "examples" / "movielens"
START = datetime(2024, 1, 1, tzinfo=UTC)
pytest_plugins = ["tests.session", "tests.forked", "tests.command", "tests.real_model", "tests.environments"]
sys.path.insert(0, str(HELPERS))  # `scripted:ScriptedEngine` in knowflow.yaml


@dataclass
class Shop:
    """A data set with its knowflow.yaml in a temporary folder."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "knowflow.yaml"

    def configure(self, **changes: Any) -> None:
        """Change parts of knowflow.yaml; `engine` options are merged, other parts replaced."""
        if "rules" in changes or "options" in changes:
            options = dict(self.settings["engine"].get("options", {}))
            options |= changes.pop("options", {})
            if "rules" in changes:
                options["rules"] = changes.pop("rules")
            self.settings["engine"] = {**self.settings["engine"], "options": options}
        self.settings |= changes
        self.config.write_text(yaml.safe_dump(self.settings, allow_unicode=True, sort_keys=False), encoding="utf-8")

    def write_events(self, rows: list[tuple[str, str, datetime, float]]) -> None:
        """Replace the events: user, item, time, rating."""
        table = pl.DataFrame(rows, schema=["user", "item", "time", "rating"], orient="row")
        table.write_parquet(self.folder / "events.parquet")

    def events(self) -> list[tuple[str, str, datetime, float]]:
        return pl.read_parquet(self.folder / "events.parquet").rows()

    def write_items(self, titles: dict[str, str]) -> None:
        """Replace the items: id -> title."""
        pl.DataFrame({"item": list(titles), "title": list(titles.values())}).write_parquet(
            self.folder / "items.parquet"
        )

    def calls(self, what: str = "asked") -> list[str]:
        """Keys the engine was asked for (or `gave`), in order, over all runs."""
        file = self.folder / "calls.txt"
        lines = file.read_text().splitlines() if file.is_file() else []
        return [line.split()[1] for line in lines if line.startswith(f"{what} ")]

    def place(self) -> Any:
        """Data, engine and store, opened anew as every stage does."""
        from app.config import load_config
        from app.workplace import open_workplace

        return open_workplace(load_config(self.config))

    def plan(self, task: str, **options: Any) -> Any:
        """Plan one technique."""
        from llm_tasks.pipeline.catalogue import choose_tasks
        from llm_tasks.pipeline.plan import plan_task

        place = self.place()
        return plan_task(choose_tasks([task], place.library.plugins)[0], place, **options)

    def ask(self, task: str, **options: Any) -> Any:
        """Plan one technique and ask what it lacks, as the flow does."""
        from base.progress import silent
        from llm_tasks.pipeline.generate import generate

        place = self.place()
        with place.store.writer("a test") as writer:
            return generate(self.plan(task, **options), place, writer, silent)

    def encode(self, task: str, progress: Any = None) -> Any:
        """Encode one technique's new texts under its encoders, as the flow does."""
        from app.config import load_config
        from app.workplace import encoders_of
        from base.progress import silent
        from llm_tasks.pipeline.catalogue import choose_tasks
        from llm_tasks.pipeline.encode import encode_task

        config = load_config(self.config)
        with self.place().store.writer("a test") as writer:
            encoders = encoders_of(config, task)
            return encode_task(
                choose_tasks([task], config.plugin_folders)[0], encoders, writer, progress or silent, config.folder
            )

    def release(self, *tasks: str) -> str:
        """Ask, encode and publish some techniques, as the flow does but without Prefect; gives the release's name."""
        from app.config import load_config
        from app.publish import publish_release

        asked = [{"task": task, "cached": 0, **vars(self.ask(task))} for task in tasks]
        vectors = [vars(made) for task in tasks for made in self.encode(task)]
        return publish_release(load_config(self.config), self.place(), tasks, asked, vectors)

    def lineage(self, task: str) -> dict[str, dict[str, Any]]:
        """Row key -> lineage row of one technique."""
        from feature_store.lineage import read_lineage

        return {row["row"]: row for row in read_lineage(self.place().store, [task]).iter_rows(named=True)}

    def store_bytes(self) -> dict[str, bytes]:
        """Every file of the store with its content."""
        store = self.folder / "runs" / "store"
        return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}


SMALL = {"batch_size": 64, "rolling": [0.6, 0.8], "search": [], "trees": {"count": 10, "leaves": 4}}
"""Training that takes no longer than it must."""
MakeShop = Callable[..., Shop]


def build_shop(folder: Path, items: int = 12, users: int = 4, events: int = 5, **settings: Any) -> Shop:
    """A shop: `items` items called `Thing 0` ..., `users` users with `events` events each, a minute apart."""
    shop = Shop(folder)
    shop.folder.mkdir()
    shop.write_items({f"i{place}": f"Thing {place}" for place in range(items)})
    shop.write_events(
        [
            (f"u{user}", f"i{(user + 3 * place) % items}", START + timedelta(minutes=place), 1.0 + (place % 5))
            for user in range(users)
            for place in range(events)
        ]
    )
    shop.settings = {
        "home": "runs",
        "events": {"path": "events.parquet", "user": "user", "item": "item", "time": "time", "rating": "rating"},
        "label": {"rating_at_least": 4},
        "items": {"path": "items.parquet", "id": "item", "title": "title"},
        "engine": {"name": "scripted:ScriptedEngine", "model": "scripted", "revision": "1"},
        "tasks": {"kar_item": {}, "kar_user": {"snapshots": [0.5, 1.0]}, "item_facts": {}},
        "encoders": {"lexical": {"kind": "lexical", "dimension": 4}},
    }
    shop.configure(**settings)
    return shop


@pytest.fixture(scope="session")
def shop_builder() -> Callable[..., Shop]:
    """`build_shop`, for fixtures that are shared by many tests."""
    return build_shop


@pytest.fixture
def make_shop(tmp_path: Path) -> MakeShop:
    """Build a shop, as `build_shop` says, in a temporary folder."""

    def make(items: int = 12, users: int = 4, events: int = 5, name: str = "shop", **settings: Any) -> Shop:
        return build_shop(tmp_path / name, items, users, events, **settings)

    return make


@pytest.fixture
def shop(make_shop: MakeShop) -> Shop:
    """The shop as `make_shop` builds it by default: 12 items, 4 users, 5 events each, two snapshots a user."""
    return make_shop()


@pytest.fixture
def movielens(tmp_path: Path) -> Shop:
    """The MovieLens example in a folder of its own, with the lexical encoder alone, for the dense one takes a minute."""
    folder = tmp_path / "movielens"
    folder.mkdir()
    for path in EXAMPLE.rglob("*.parquet"):
        copy = folder / path.relative_to(EXAMPLE)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    shop = Shop(folder, yaml.safe_load((EXAMPLE / "knowflow.yaml").read_text(encoding="utf-8")))
    shop.configure(home="runs", encoders={"lexical": {"kind": "lexical", "dimension": 16}})
    return shop


def opened(folder: Path) -> Shop:
    """A shop that was built before."""
    return Shop(folder, yaml.safe_load((folder / "knowflow.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def compared_shop(prefect_server: str, made_once: Callable[..., Path]) -> Shop:
    """A shop with a release, a full comparison and a report; take `compared` to change anything in it."""
    return opened(made_once("compared", compare) / "shop")


def compare(folder: Path) -> None:
    """Build `compared_shop`."""
    from flows.nightly import nightly

    encoders = {"dense": {"kind": "dense"}, "lexical": {"kind": "lexical", "dimension": 4}}
    train = SMALL | {"seeds": [0, 1]}
    shop = build_shop(folder / "shop", 60, 40, 20, encoders=encoders, train=train)
    chance = random.Random(7)
    shop.write_events(
        [
            # A few items have most events, as everywhere, so that there are warm and cold ones.
            (f"u{user}", f"i{item}", START + timedelta(hours=place, minutes=user), 1.0 + (user + item + place % 2) % 5)
            for user in range(40)
            for place in range(20)
            for item in [int(60 * chance.random() ** 2.5)]
        ]
    )
    nightly(config=str(shop.config))


@pytest.fixture
def compared(compared_shop: Shop, tmp_path: Path) -> Shop:
    """A copy of `compared_shop`."""
    shutil.copytree(compared_shop.folder, tmp_path / "shop")
    return Shop(tmp_path / "shop", dict(compared_shop.settings))


@pytest.fixture(scope="session")
def examples_shop(prefect_server: str, made_once: Callable[..., Path]) -> Shop:
    """A shop with 60 in-context examples, arms that show them beside one that does not, and a report."""
    return opened(made_once("examples", show_examples) / "shop")


def show_examples(folder: Path) -> None:
    """Build `examples_shop`."""
    from flows.nightly import nightly

    shop = build_shop(
        folder / "shop",
        items=40,
        users=25,
        events=16,
        tasks={"cot_examples": {"examples": 60, "history_length": 12}, "item_facts": {}},
        encoders={"dense": {"kind": "dense"}},
        train=SMALL | {"seeds": [0], "arms": ["base", "llm-cf", "llm-cf-labels"]},
    )
    nightly(config=str(shop.config))


@pytest.fixture
def reasoned(examples_shop: Shop, tmp_path: Path) -> Shop:
    """A copy of `examples_shop`."""
    shutil.copytree(examples_shop.folder, tmp_path / "shop")
    return Shop(tmp_path / "shop", dict(examples_shop.settings))


@pytest.fixture(scope="session")
def searched_shop(made_once: Callable[..., Path]) -> Shop:
    """Seven films with dense and lexical vectors of their facts in a release; only read from it."""
    return opened(made_once("searched", release_films) / "shop")


def release_films(folder: Path) -> None:
    """Build `searched_shop`."""
    encoders = {"dense": {"kind": "dense"}, "lexical": {"kind": "lexical", "dimension": 4}}
    shop = build_shop(folder / "shop", tasks={"item_facts": {}}, encoders=encoders)
    titles = [
        "Bank Heist",
        "The Great Robbery",
        "Jungle Cats",
        "Lions of the Savanna",
        "Flower Garden",
        "Flower Garden",
        "東京物語",
    ]
    shop.write_items({f"i{place}": title for place, title in enumerate(titles)})
    shop.write_events([("u", f"i{place}", START + timedelta(minutes=place), 5.0) for place in range(len(titles))])
    shop.release("item_facts")
