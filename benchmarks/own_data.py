"""Data as people bring it: how many published formats reach a plan, and how many kinds of labels a report, unedited.

Run:   .venv/bin/python benchmarks/keep.py own_data
Every format is written in small as it is published, then `knowflow init` and `knowflow plan` run on it; it counts as
`read` when both end well without an edit. Every kind of label goes on to refresh, train and report with an engine that
answers at once; it counts under `reports` when the report is there. The last line printed is one JSON object.
"""

import gzip
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
USERS, ITEMS, EACH = 60, 40, 15
Files = tuple[str, str]
"""Names of the files of events and items."""


def main() -> None:
    """Try every format and every kind of label."""
    read = {name: attempt(write, report=False) for name, write in FORMATS.items()}
    reports = {name: attempt(write, report=True) for name, write in LABELS.items()}
    for name, why in (read | reports).items():
        print(f"{name:20} {why or 'well'}")
    found = {"read": list(read.values()).count(""), "of": len(read)}
    found |= {"reports": list(reports.values()).count(""), "of_reports": len(reports)}
    print(json.dumps({**found, "failed": {name: why for name, why in (read | reports).items() if why}}))


def attempt(write: Callable[[Path], Files], *, report: bool) -> str:
    """Run the commands on a format; return what the first one that failed said, empty when all went well."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events, items = write(folder)
        config = folder / "shop" / "knowflow.yaml"
        commands = [("init", str(folder / "shop"), "--events", str(folder / events), "--items", str(folder / items))]
        commands += [(command, "--config", str(config)) for command in ("plan",)]
        for command in commands:
            if why := run(*command):
                return why
        if not report:
            return ""
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        settings |= {
            "plugins": [str(ROOT / "benchmarks" / "own_data_engine")],
            "engine": {"name": "echo", "model": "echo"},
            "encoders": {"lexical": {"kind": "lexical", "dimension": 16}},
            "train": {"seeds": [0, 1, 2], "rolling": [0.6, 0.8]},
        }
        config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        whys = (run(command, "--config", str(config)) for command in ("refresh", "train", "report"))
        return next((why for why in whys if why), "")


def run(*arguments: str) -> str:
    """Run a command; return its last words when it failed, else nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return f"{arguments[0]}: " + " ".join(done.stderr.split())[-200:] if done.returncode else ""


def log() -> Iterator[tuple[int, int, int, datetime]]:
    """User, item, rating from 1 to 5 and time of made-up events: half of what a user rates is of the kind it likes."""
    chance = random.Random(0)
    for user in range(USERS):
        for n, item in enumerate(chance.sample(range(ITEMS), EACH)):
            liked = item % 4 == user % 4 or chance.random() < 0.3
            rating = chance.choice((4, 5)) if liked else chance.choice((1, 2, 3))
            yield user + 1, item + 1, rating, datetime.fromtimestamp(1_500_000_000 + 86_400 * n + 60 * user, UTC)


def lines(path: Path, rows: list[str], encoding: str = "utf-8") -> None:
    """Write lines, packed when the suffix says so."""
    text = "".join(f"{row}\n" for row in rows).encode(encoding)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def plain_items(folder: Path) -> str:
    """Write items.csv with a title and a brand."""
    lines(folder / "items.csv", ["item_id,title,brand", *(f"{i},Thing {i},Maker {i % 4}" for i in range(1, ITEMS + 1))])
    return "items.csv"


def movielens_100k(folder: Path) -> Files:
    """u.data and u.item: no header, tabs and bars, Latin-1."""
    lines(folder / "u.data", [f"{u}\t{i}\t{r}\t{int(t.timestamp())}" for u, i, r, t in log()])
    flags = "|".join("01"[n % 2] for n in range(19))
    lines(folder / "u.item", [f"{i}|Café {i} (1995)|01-Jan-1995||link|{flags}" for i in range(1, ITEMS + 1)], "latin-1")
    return "u.data", "u.item"


def movielens_1m(folder: Path) -> Files:
    """ratings.dat and movies.dat: no header, two colons."""
    lines(folder / "ratings.dat", [f"{u}::{i}::{r}::{int(t.timestamp())}" for u, i, r, t in log()])
    lines(folder / "movies.dat", [f"{i}::Café {i} (1995)::Comedy|Drama" for i in range(1, ITEMS + 1)], "latin-1")
    return "ratings.dat", "movies.dat"


def movielens_20m(folder: Path) -> Files:
    """ratings.csv and movies.csv."""
    lines(
        folder / "ratings.csv",
        ["userId,movieId,rating,timestamp", *(f"{u},{i},{r}.0,{int(t.timestamp())}" for u, i, r, t in log())],
    )
    films = (f'{i},"Film {i}, The (1995)",Comedy|Drama' for i in range(1, ITEMS + 1))
    lines(folder / "movies.csv", ["movieId,title,genres", *films])
    return "ratings.csv", "movies.csv"


def recbole(folder: Path) -> Files:
    """Atomic files: tabs, typed header, lists separated by blanks."""
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    lines(folder / "ml.inter", [head, *(f"{u}\t{i}\t{r}\t{int(t.timestamp())}" for u, i, r, t in log())])
    head = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
    lines(folder / "ml.item", [head, *(f"{i}\tFilm {i}\t1995\tComedy Drama" for i in range(1, ITEMS + 1))])
    return "ml.inter", "ml.item"


def amazon_2023(folder: Path) -> Files:
    """Packed JSON lines; a review names a variant and its parent, the items are parents."""
    reviews = [
        {
            "rating": float(r),
            "asin": f"V{i}",
            "parent_asin": f"P{i}",
            "user_id": f"A{u}",
            "timestamp": t.timestamp() * 1e3,
        }
        for u, i, r, t in log()
    ]
    items = [
        {
            "parent_asin": f"P{i}",
            "title": f"Shampoo {i}",
            "average_rating": 4.1,
            "store": "Acme",
            "categories": ["a", "b"],
        }
        for i in range(1, ITEMS + 1)
    ]
    lines(folder / "All_Beauty.jsonl.gz", [json.dumps(one) for one in reviews])
    lines(folder / "meta_All_Beauty.jsonl.gz", [json.dumps(one) for one in items])
    return "All_Beauty.jsonl.gz", "meta_All_Beauty.jsonl.gz"


def yelp(folder: Path) -> Files:
    """JSON lines with the suffix .json."""
    reviews = [
        {"review_id": f"r{u}-{i}", "user_id": f"u{u}", "business_id": f"b{i}", "stars": float(r), "useful": 0}
        | {"text": "Nice.", "date": t.strftime("%Y-%m-%d %H:%M:%S")}
        for u, i, r, t in log()
    ]
    places = [
        {"business_id": f"b{i}", "name": f"Diner {i}", "city": "Tampa", "stars": 4.0, "review_count": 9}
        | {"categories": "Diners, Breakfast", "attributes": {"WiFi": "free"}}
        for i in range(1, ITEMS + 1)
    ]
    lines(folder / "review.json", [json.dumps(one) for one in reviews])
    lines(folder / "business.json", [json.dumps(one) for one in places])
    return "review.json", "business.json"


def steam(folder: Path) -> Files:
    """Records as Python writes them, packed."""
    events = [
        {"user_id": f"u{u}", "item_id": str(i), "posted": f"Posted {t:%B} {t.day}, {t.year}.", "recommend": r > 3}
        for u, i, r, t in log()
    ]
    games = [{"id": str(i), "app_name": f"Game {i}", "genres": ["Action", "Indie"]} for i in range(1, ITEMS + 1)]
    lines(folder / "reviews.json.gz", [repr(one) for one in events])
    lines(folder / "games.json.gz", [repr(one) for one in games])
    return "reviews.json.gz", "games.json.gz"


def rees46(folder: Path) -> Files:
    """Views, carts and purchases."""
    kind = {1: "view", 2: "view", 3: "view", 4: "cart", 5: "purchase"}
    head = "event_time,event_type,product_id,category_code,price,user_id"
    rows = (f"{t:%Y-%m-%d %H:%M:%S} UTC,{kind[r]},{i},phones,10.5,{u}" for u, i, r, t in log())
    lines(folder / "events.csv", [head, *rows])
    lines(folder / "items.csv", ["product_id,name,brand", *(f"{i},Phone {i},acme" for i in range(1, ITEMS + 1))])
    return "events.csv", "items.csv"


def mind(folder: Path) -> Files:
    """behaviors.tsv and news.tsv: impressions in one cell, no header."""
    rows = [
        f"{n}\tU{u}\t{t.month}/{t.day}/{t.year} {t:%I:%M:%S %p}\t\tN{i}-{int(r > 3)} N{i % ITEMS + 1}-0"
        for n, (u, i, r, t) in enumerate(log(), start=1)
    ]
    lines(folder / "behaviors.tsv", rows)
    news = [f"N{i}\tnews\tworld\tHeadline {i}\tWhat happened.\tlink\t[]\t[]" for i in range(1, ITEMS + 1)]
    lines(folder / "news.tsv", news)
    return "behaviors.tsv", "news.tsv"


def spreadsheet(folder: Path) -> Files:
    """A European spreadsheet: semicolons, decimal commas, cp1252, days before months."""
    lines(
        folder / "sales.csv",
        ["user;item;date;rating", *(f"{u};{i};{t:%d.%m.%Y %H:%M};{r}" for u, i, r, t in log())],
        "cp1252",
    )
    goods = (f"{i};Käse {i};{i},50;Molkerei {i % 3}" for i in range(1, ITEMS + 1))
    lines(folder / "goods.csv", ["item;name;price;maker", *goods], "cp1252")
    return "sales.csv", "goods.csv"


def events_with(column: str, value: Callable[[int], Any], keep: Callable[[int], bool] = lambda rating: True) -> Any:
    """Make a writer of events with one column made of the rating."""

    def write(folder: Path) -> Files:
        rows = (f"{u},{i},{int(t.timestamp())},{value(r)}" for u, i, r, t in log() if keep(r))
        lines(folder / "events.csv", [f"user_id,item_id,timestamp,{column}", *rows])
        return "events.csv", plain_items(folder)

    return write


FORMATS: dict[str, Callable[[Path], Files]] = {
    "movielens 100k": movielens_100k,
    "movielens 1m": movielens_1m,
    "movielens 20m": movielens_20m,
    "recbole": recbole,
    "amazon 2023": amazon_2023,
    "yelp": yelp,
    "steam": steam,
    "rees46": rees46,
    "mind": mind,
    "spreadsheet": spreadsheet,
}
LABELS: dict[str, Callable[[Path], Files]] = {
    "rating": events_with("rating", lambda rating: rating),
    "label": events_with("clicked", lambda rating: int(rating > 3)),
    "event types": events_with("event_type", lambda rating: "purchase" if rating > 3 else "view"),
    "weight": events_with("play_count", lambda rating: rating * rating),
    "watch ratio": events_with("watch_ratio", lambda rating: rating / 2.5),
    "positives only": events_with("note", lambda rating: "ok", lambda rating: rating > 3),
    "not rated": events_with("rating", lambda rating: -1 if rating == 3 else rating),
}

if __name__ == "__main__":
    main()
