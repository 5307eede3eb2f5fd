"""Data as people bring it: every folder of data/ is mapped by `init` and read as its README calls right."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config import load_config
from cli.init import init
from sources.load import load

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Right:
    """What is right of a case. Ratings go from 1 to 5 and begin again: of 24 events 5 have a 4 and 4 a 5."""

    events: str = "events.csv"
    """The file of events."""
    items: str | None = "items.csv"
    """The file of items; None if the events' file is all there is."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings that `init` writes."""
    counts: tuple[int, int, int] = (0, 0, 0)
    """Events, positive events, items."""
    item: dict[str, Any] = field(default_factory=dict)
    """Some fields of the first item."""
    years: tuple[int, int] = (0, 0)
    """Years of the first and the last event."""


RECBOLE = {"events.user": "user_id:token", "items.separator": " ", "domain": "films"}
TOY_STORY = {"title": "Toy Story 0", "year": 1995.0, "genres": ["Animation", "Children's", "Comedy"]}
U_DATA = {"events.user": "column_1", "events.item": "column_2", "events.rating": "column_3", "items.title": "column_2"}
CASES: dict[str, list[Right]] = {
    "bom-cp1252": [
        Right(
            settings={"items.delimiter": ";", "items.encoding": "cp1252"},
            counts=(24, 9, 6),
            item={"title": "Café 0", "price": 1.0},
            years=(2017, 2017),
        )
    ],
    "chinese": [
        Right(settings={"events.user": "用户编号"}, counts=(28, 10, 6), item={"价格": 1.5}, years=(2022, 2022))
    ],
    "gz": [Right("events.jsonl.gz", "items.jsonl.gz", counts=(24, 9, 6), years=(2020, 2020))],
    "movielens-no-header": [
        Right(*files, U_DATA, counts=(24, 9, 6), item={"title": "Toy Story 0 (1995)"}, years=(1997, 1997))
        for files in (("u.data", "u.item"), ("udata.csv", "uitem.csv"))
    ],
    "day-month-year": [Right(settings={"events.time": "date"}, counts=(24, 9, 6), years=(2020, 2020))],
    "duplicates": [Right(counts=(12, 4, 6), years=(2017, 2017))],
    "float-ids-in-csv": [Right(settings={"events.item": "item_id"}, counts=(24, 16, 6), years=(2014, 2014))],
    "yyyymmdd-dates": [Right(settings={"events.time": "date"}, counts=(24, 9, 6), years=(2020, 2020))],
    "positives-only": [
        Right(settings={"events.rating": "weight", "label.at_least": 435.5}, counts=(24, 12, 6), years=(2017, 2017))
    ],
    "rating-minus-one": [
        Right(settings={"label.missing": [-1], "label.rating_at_least": 8}, counts=(16, 8, 6), years=(2017, 2017))
    ],
    "rees46-utc-suffix": [
        Right(
            settings={"events.label": "event_type", "label.positive": ["cart", "purchase"]},
            counts=(20, 13, 5),
            years=(2019, 2019),
        )
    ],
    "steam-python-literals": [
        Right(f"events.{suffix}", f"items.{suffix}", {"events.time": "posted"}, (24, 16, 6), years=(2011, 2011))
        for suffix in ("json", "jsonl")
    ],
    "recbole-atomic": [
        Right(*files, RECBOLE, (24, 9, 6), TOY_STORY, (1997, 1997))
        for files in (("ml-100k.inter", "ml-100k.item"), ("inter.csv", "item.csv"))
    ],
    "retailrocket": [
        Right(
            items="item_properties.csv",
            settings={"label.positive": ["addtocart", "transaction"], "items.long.name": "property"},
            counts=(20, 8, 5),
            item={"title": "355900", "categoryid": ["1338"]},
            years=(2015, 2015),
        )
    ],
    "parquet-kinds": [
        Right(events, "items.parquet", counts=(24, 16, 6), item={"tags": ["run", "road"]}, years=(2020, 2020))
        for events in ("events.parquet", "parts")
    ],
}


def test_every_folder_is_named_in_a_test():
    tests = "".join(one.read_text(encoding="utf-8") for one in DATA.parents[1].rglob("test_*.py"))

    assert [one.name for one in DATA.iterdir() if f'{one.name}"' not in tests and f"{one.name}/" not in tests] == []
    assert set(CASES) <= {one.name for one in DATA.iterdir()}


@pytest.mark.parametrize(
    ("name", "right"),
    [pytest.param(name, right, id=f"{name}-{right.events}-{right.items}") for name in CASES for right in CASES[name]],
)
def test_init_maps_the_case_and_load_reads_it(tmp_path, name, right):
    items = DATA / name / right.items if right.items else None

    code = init(tmp_path, events=DATA / name / right.events, items=items)

    written = yaml.safe_load((tmp_path / "knowflow.yaml").read_text())
    config = load_config(tmp_path / "knowflow.yaml")
    data = load(config.source, config.folder)
    found = {setting: _at(written, setting) for setting in right.settings}
    times = data.events["time"].dt.year()
    assert code == 0
    assert found == right.settings
    assert (len(data.events), int(data.events["label"].sum()), len(data.items)) == right.counts
    assert right.item.items() <= data.items.row(0, named=True).items()
    assert (times.min(), times.max()) == right.years


@pytest.mark.parametrize("twice", [True, False])
def test_one_file_of_transactions_holds_the_items_too(tmp_path, twice):
    sales = DATA / "uci-online-retail" / "retail.csv"

    init(tmp_path, events=sales, items=sales if twice else None)

    path = tmp_path / "knowflow.yaml"
    written = yaml.safe_load(path.read_text())
    config = load_config(path)
    data = load(config.source, config.folder)
    roles = [written["events"][role] for role in ("user", "item", "time", "time_format")]
    assert roles == ["CustomerID", "StockCode", "InvoiceDate", "%m/%d/%Y %H:%M"]
    assert (written["items"]["title"], written["items"]["repeated"]) == ("Description", "first")
    assert set(written["items"]) & {"texts", "categories"} == set()
    assert written["label"] == {"negatives": {"per_positive": 4}}  # no column is a label
    assert (len(data.events), int(data.events["label"].sum()), len(data.items)) == (25, 25, 5)
    assert data.items.row(0, named=True) == {"item": "85120A", "title": "WHITE HANGING HEART 0", "UnitPrice": 2.55}


def test_few_users_with_small_ids_do_not_change_places_with_the_ratings(tmp_path):
    lines = (DATA / "chinese" / "events.csv").read_text(encoding="utf-8").splitlines()
    small = [re.sub(r"^100(\d\d)", lambda found: str(int(found[1]) % 6 + 1), line) for line in lines]
    (tmp_path / "events.csv").write_text("\n".join(small), encoding="utf-8")

    init(tmp_path / "out", events=tmp_path / "events.csv", items=DATA / "chinese" / "items.csv")

    written = yaml.safe_load((tmp_path / "out" / "knowflow.yaml").read_text())
    assert (written["events"]["user"], written["events"]["rating"]) == ("用户编号", "评分")
    assert "the user is the first, the rating the last; check both" in (tmp_path / "out" / "knowflow.yaml").read_text()


def test_a_log_without_times_is_offered_the_order_of_its_rows_by_name(tmp_path, capsys):
    init(tmp_path, events=DATA / "no-time" / "events.csv", items=DATA / "no-time" / "items.csv")
    path = tmp_path / "knowflow.yaml"
    offered = capsys.readouterr().err
    path.write_text(path.read_text().replace("time: FILL_IN", "time: {by: row_order}"))
    config = load_config(path)

    data = load(config.source, config.folder)

    assert "fill in events.time: the column of the time, or {by: row_order} if the log has none" in offered
    assert data.events["user"].to_list()[:3] == ["1", "2", "3"]  # of user 0 the rating is -1


def test_a_log_of_positives_only_is_offered_sampled_negatives_and_reads_unedited(tmp_path, capsys):
    lines = (DATA / "positives-only" / "events.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "events.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in lines), encoding="utf-8")

    init(tmp_path / "shop", events=tmp_path / "events.csv", items=DATA / "positives-only" / "items.csv", json=True)

    told = json.loads(capsys.readouterr().out)
    config = load_config(tmp_path / "shop" / "knowflow.yaml")
    data = load(config.source, config.folder)
    (found,) = [one for one in told["found"] if one["field"] == "label.negatives"]
    assert found["column"] == "{per_positive: 4}"
    assert "every event is positive, and negatives are sampled" in found["why"]
    assert told["fill_in"] == []
    assert data.events["label"].to_list() == [1] * 24
    assert data.sampled is not None
    assert len(data.sampled) > 24


def _at(settings: Any, path: str) -> Any:
    for part in path.split("."):
        settings = settings[part]
    return settings
