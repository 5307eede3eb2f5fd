"""Data as people bring it: how many published formats reach a plan, and how many kinds of labels a report, unedited.

Run:   .venv/bin/python benchmarks/keep.py own_data
Every format is written in small as it is published, then `knowflow init`, by the preset where there is one, and
`knowflow plan` run on it; it counts as `read` when both end well without an edit. Every kind of label goes on to
refresh, train and report with an engine that answers at once; it counts under `reports` when the report is there.
`million_seconds` is the time of init and plan on a million events. The last line printed is one JSON object.
"""

import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from published import ITEMS, PUBLISHED, log, write

ROOT = Path(__file__).resolve().parents[1]
Files = tuple[str, ...]
"""Names of the files of events and items."""


def main() -> None:
    """Try every format and every kind of label."""
    read = {name: read_preset(name, publish) for name, publish in PUBLISHED.items()}
    read |= {name: read_files(bring, report=False) for name, bring in FORMATS.items()}
    reports = {name: read_files(bring, report=True) for name, bring in LABELS.items()}
    for name, why in (read | reports).items():
        print(f"{name:20} {why or 'well'}")
    found = {"read": list(read.values()).count(""), "of": len(read)}
    found |= {"million_seconds": seconds_to_a_plan(1_000_000)}
    found |= {"reports": list(reports.values()).count(""), "of_reports": len(reports)}
    print(json.dumps({**found, "failed": {name: why for name, why in (read | reports).items() if why}}))


def read_preset(name: str, publish: Callable[[Path], None]) -> str:
    """Run init and plan on a published data set; return what the first one that failed said, empty if all went well."""
    with tempfile.TemporaryDirectory() as folder:
        data, shop = Path(folder) / "data", Path(folder) / "shop"
        publish(data)
        return run("init", str(shop), "--from", name, str(data)) or run("plan", "--config", str(shop / "knowflow.yaml"))


def seconds_to_a_plan(events: int) -> float:
    """Return the seconds from files to a first plan: init and plan on a log in MovieLens' form."""
    with tempfile.TemporaryDirectory() as folder:
        data, shop = Path(folder) / "data", Path(folder) / "shop"
        chance, users, items = random.Random(0), events // 50, events // 200
        rows = (
            f"{n % users},{chance.randrange(items)},{chance.randint(1, 10) / 2},{1_500_000_000 + n}"
            for n in range(events)
        )
        write(data / "ratings.csv", itertools.chain(["userId,movieId,rating,timestamp"], rows))
        films = (f"{n},Film {n} (1995),Comedy|Drama" for n in range(items))
        write(data / "movies.csv", itertools.chain(["movieId,title,genres"], films))
        begin = time.perf_counter()
        why = run("init", str(shop), "--from", "movielens", str(data)) or run(
            "plan", "--config", str(shop / "knowflow.yaml")
        )
        return float("nan") if why else round(time.perf_counter() - begin, 1)


def read_files(bring: Callable[[Path], Files], *, report: bool) -> str:
    """Run the commands on files; return what the first one that failed said, empty if all went well."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [str(folder / file) for file in bring(folder)]
        config = folder / "shop" / "knowflow.yaml"
        named = [word for pair in zip(("--events", "--items"), files, strict=False) for word in pair]
        if why := run("init", str(folder / "shop"), *named) or run("plan", "--config", str(config)):
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


def plain_items(folder: Path) -> str:
    """Write items.csv with a title and a brand."""
    write(folder / "items.csv", ["item_id,title,brand", *(f"{i},Thing {i},Maker {i % 4}" for i in range(1, ITEMS + 1))])
    return "items.csv"


def spreadsheet(folder: Path) -> Files:
    """A European spreadsheet: semicolons, decimal commas, cp1252, days before months."""
    write(
        folder / "sales.csv",
        ["user;item;date;rating", *(f"{u};{i};{t:%d.%m.%Y %H:%M};{r}" for u, i, r, t in log())],
        "cp1252",
    )
    goods = (f"{i};Käse {i};{i},50;Molkerei {i % 3}" for i in range(1, ITEMS + 1))
    write(folder / "goods.csv", ["item;name;price;maker", *goods], "cp1252")
    return "sales.csv", "goods.csv"


def sales(folder: Path) -> Files:
    """One file of transactions: no table of items, no label, times with months before days."""
    head = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
    rows = (
        f"{536365 + u},{85000 + i}A,RED MUG {i},{r},{t.month}/{t.day}/{t.year} {t.hour}:{t:%M},{r}.50,{17000 + u}.0,UK"
        for u, i, r, t in log()
    )
    write(folder / "retail.csv", [head, *rows])
    return ("retail.csv",)


def events_with(column: str, value: Callable[[int], Any], keep: Callable[[int], bool] = lambda rating: True) -> Any:
    """Make a writer of events with one column made of the rating."""

    def events(folder: Path) -> Files:
        rows = (f"{u},{i},{int(t.timestamp())},{value(r)}" for u, i, r, t in log() if keep(r))
        write(folder / "events.csv", [f"user_id,item_id,timestamp,{column}", *rows])
        return "events.csv", plain_items(folder)

    return events


FORMATS: dict[str, Callable[[Path], Files]] = {"spreadsheet": spreadsheet, "one file of sales": sales}
"""Forms without a preset: `init` looks at their columns."""
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
