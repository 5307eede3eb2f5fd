"""knowflow init: a first knowflow.yaml that loads, says why it is as it is, and marks what must be filled in."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.config import load_config
from app.workplace import plan
from cli.errors import WRONG_INPUT, describe
from cli.init import init
from cli.init_guess import field_names, propose_domain, split_lines
from cli.init_line import yaml_value
from ctr.config import TrainConfig
from engines.choose import build_engine
from feature_store.gate import GatesConfig
from llm_tasks.pipeline.budget import Prices
from prompts.domain import load_domain
from sources.config import SplitConfig
from sources.faults import SourceFaults
from sources.guess import TableGuess, guess_tables
from sources.load import load
from sources.look import look

NO_TIME = "the column of the time, or {by: row_order} if the log has none and its rows are in order"
FORMATS = ["parquet", "csv", "jsonl"]
FILMS = {
    "movieId": ["m1", "m2", "m3"],
    "title": ["Heat", "Fargo", "Alien"],
    "genre": ["Action|Crime", "Crime", "Horror|Action"],
    "release year": [1995, 1996, 1979],
}
RATINGS = {
    "userId": [1, 1, 1, 2, 2, 2],
    "movieId": ["m1", "m2", "m3", "m1", "m2", "m3"],
    "rating": [4.0, 5.0, 1.5, 2.5, 3.0, 4.0],
    "timestamp": [1_500_000_000 + n for n in range(6)],
}


def write(path: Path, columns: dict) -> Path:
    frame = pl.DataFrame(columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    {".parquet": frame.write_parquet, ".csv": frame.write_csv, ".jsonl": frame.write_ndjson}[path.suffix](path)
    return path


@pytest.fixture
def films(tmp_path):
    return {"events": write(tmp_path / "ratings.csv", RATINGS), "items": write(tmp_path / "films.csv", FILMS)}


def guessed(folder: Path, columns: dict) -> TableGuess:
    return guess_tables(look(write(folder / "e.csv", RATINGS)), look(write(folder / "i.parquet", columns)))[1]


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_file_loads_and_reads_the_data_it_was_made_for(tmp_path, suffix):
    events, items = write(tmp_path / f"e.{suffix}", RATINGS), write(tmp_path / f"i.{suffix}", FILMS)

    code = init(tmp_path / "shop", events=events, items=items)

    config = load_config(tmp_path / "shop" / "knowflow.yaml")
    data = load(config.source, config.folder)
    assert code == 0
    assert data.events["label"].to_list() == [1, 1, 0, 0, 0, 1]  # ratings of at least 0.8 * 5 = 4
    assert data.items.to_dicts()[0] == {"item": "m1", "title": "Heat", "genres": ["Action", "Crime"], "year": 1995.0}
    assert [p.task.name for p in plan(config)] == ["kar_item", "kar_user", "item_facts"]
    assert load_domain(config.domain).item_description(data.items.to_dicts()[0]) == "Heat (1995) [Action, Crime]"


def test_every_guess_stands_with_its_reason(tmp_path, films):
    write(films["events"], RATINGS | {"score": [1, 2, 3, 4, 5, 5], "weekday": [1, 2, 3, 4, 5, 6]})

    init(tmp_path / "shop", **films)

    text = re.sub(" +", " ", (tmp_path / "shop" / "knowflow.yaml").read_text())
    assert "domain: films # proposed: a column name refers to films" in text
    assert " user: userId # guessed from its name\n" in text
    assert " rating: rating # guessed from its name; other candidates: score\n" in text
    assert " rating_at_least: 4 # proposed: 80% of 5, the largest rating in the file\n" in text
    assert " genres: genre # guessed from its name: short parts, split at '|'\n" in text
    assert " year: release year # guessed from its name\n" in text


def test_everything_that_is_not_guessed_is_a_default_and_explained(tmp_path, films):
    init(tmp_path / "shop", **films)

    path = tmp_path / "shop" / "knowflow.yaml"
    config, text = load_config(path), path.read_text()
    assert (config.source.split, config.gates, config.prices) == (
        SplitConfig(by="global_time"),
        GatesConfig(),
        Prices(),
    )
    assert "train" not in yaml.safe_load(text)
    opened = yaml.safe_load(re.sub("^# ?(train:|  )", r"\1", text[text.index("# train:") :], flags=re.MULTILINE))
    assert TrainConfig.model_validate(opened["train"]) == TrainConfig()
    assert build_engine(config.engine, load_domain("films"), config.folder).identity.model == config.engine.model
    paragraphs = [part for part in text.split("\n\n") if not part.startswith("#")]
    assert paragraphs == []  # each section begins with what it is for


def test_paths_are_relative_to_the_file(tmp_path):
    events = write(tmp_path / "my data" / "e.csv", RATINGS)
    items = write(tmp_path / "deep" / "er" / "i.csv", FILMS)

    init(tmp_path / "deep" / "shop", events=events, items=items)

    source = load_config(tmp_path / "deep" / "shop" / "knowflow.yaml").source
    assert (source.events.path, source.items.path) == ("../../my data/e.csv", "../er/i.csv")


def test_a_path_holds_when_folders_are_links(tmp_path, films):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")

    init(tmp_path / "link", **films)

    config = load_config(tmp_path / "link" / "knowflow.yaml")
    assert config.source.events.path == "../../ratings.csv"
    assert len(load(config.source, config.folder).events) == 6


def test_users_and_queries_are_written_when_they_are_given(tmp_path, films):
    users = write(tmp_path / "u.jsonl", {"id": [1, 2], "age": [30, 40], "tags": ["a;b", "b"]})
    queries = write(tmp_path / "q.csv", {"query": ["a heist", "snow"], "userId": [1, 2]})

    init(tmp_path / "shop", **films, users=users, queries=queries)

    config = load_config(tmp_path / "shop" / "knowflow.yaml")
    data = load(config.source, config.folder)
    assert data.users is not None
    assert data.users.to_dicts()[0] == {"user": "1", "tags": ["a", "b"], "age": 30.0}
    assert data.queries is not None
    assert data.queries.columns == ["query", "user"]


def test_a_file_that_is_there_is_only_written_over_with_force(tmp_path, films, capsys):
    there = tmp_path / "knowflow.yaml"
    there.write_text("mine")

    assert init(tmp_path, **films) == WRONG_INPUT
    assert there.read_text() == "mine"
    assert "to overwrite it: add --force" in capsys.readouterr().err
    assert init(tmp_path, **films, force=True) == 0
    assert load_config(there).domain == "films"


def test_a_folder_that_cannot_be_made_is_told(tmp_path, films, capsys):
    (tmp_path / "file").write_text("")

    assert init(tmp_path / "file" / "shop", **films) == WRONG_INPUT
    assert "cannot be written" in capsys.readouterr().err


def test_all_files_that_are_no_tables_are_told_at_once_and_nothing_is_written(tmp_path, films):
    (tmp_path / "bad.csv").write_text("a,b\n")

    with pytest.raises(SourceFaults) as caught:
        init(tmp_path / "shop", events=tmp_path / "gone.csv", items=tmp_path / "bad.csv")

    known = describe(caught.value)
    assert known is not None
    assert known.code == WRONG_INPUT
    assert "gone.csv" in known.text
    assert "bad.csv" in known.text
    assert not (tmp_path / "shop").exists()


def test_the_json_is_one_object_that_says_what_was_found_and_what_is_missing(tmp_path, films, capsys):
    write(films["events"], {name: values for name, values in RATINGS.items() if name != "timestamp"})

    init(tmp_path / "shop", **films, json=True)

    told = json.loads(capsys.readouterr().out)
    user = {"file": "ratings.csv", "field": "events.user", "column": "userId", "why": "its name", "others": []}
    assert user in told["found"]
    assert told["fill_in"] == [{"field": "events.time", "what": f"{NO_TIME}; ratings.csv has: userId, movieId, rating"}]
    assert told["domain"]["name"] == "films"
    assert told["next"] == f"knowflow plan --config {tmp_path}/shop/knowflow.yaml"


def test_where_no_rating_is_above_0_the_rule_is_to_be_filled_in(tmp_path, films, capsys):
    write(films["events"], RATINGS | {"rating": [-1, -2, -3, -1, -2, -3]})

    init(tmp_path / "shop", **films, json=True)

    told = json.loads(capsys.readouterr().out)
    assert told["fill_in"] == [
        {"field": "label.rating_at_least", "what": "a number; the largest rating in the file is -1"}
    ]
    with pytest.raises(SourceFaults, match=r"label\.rating_at_least"):
        load_config(tmp_path / "shop" / "knowflow.yaml")


def test_the_table_shows_columns_that_look_like_markup(tmp_path, films, capsys):
    write(films["items"], FILMS | {"[bold] price": [1, 2, 3]})

    init(tmp_path / "shop", **films)

    assert "[bold] price" in capsys.readouterr().out


def test_init_and_then_plan_work_as_commands(tmp_path, films, plain_knowflow):
    made = plain_knowflow.run("init", tmp_path / "shop", "--events", films["events"], "--items", films["items"])
    planned = plain_knowflow.run("plan", "--config", tmp_path / "shop" / "knowflow.yaml", "--json")

    assert (made.returncode, planned.returncode) == (0, 0)
    assert f"next: knowflow plan --config {tmp_path}/shop/knowflow.yaml" in made.stderr
    assert {task["task"]: task["rows"] for task in json.loads(planned.stdout)["tasks"]} == {
        "kar_item": 3,
        "kar_user": 4,  # 2 users, after 40% and 80% of their logs
        "item_facts": 3,
    }


def test_what_was_not_found_is_marked_and_plan_names_it(tmp_path, films, plain_knowflow):
    write(films["events"], {"who": ["x", "y", "x"], "what": ["m1", "m2", "m3"]})

    made = plain_knowflow.run("init", tmp_path / "shop", "--events", films["events"], "--items", films["items"])
    planned = plain_knowflow.run("plan", "--config", tmp_path / "shop" / "knowflow.yaml")

    text = (tmp_path / "shop" / "knowflow.yaml").read_text()
    assert made.returncode == 0
    assert f"fill in events.time: {NO_TIME}; ratings.csv has: who, what" in made.stderr
    assert re.search(f"time: FILL_IN +# FILL IN {NO_TIME}; ratings.csv has: who, what\n", text)
    assert planned.returncode == WRONG_INPUT
    assert re.search("events.time is still FILL_IN; there are .*who.*what", planned.stderr)
    assert "set events.time in knowflow.yaml to a column" in planned.stderr
    assert "Traceback" not in planned.stderr


@pytest.mark.parametrize(
    ("columns", "domain"),
    [
        (["movieId", "title"], "films"),
        (["id", "title", "genres", "year"], "generic"),  # films, games, music and books have both
        (["id", "app_name", "genres", "publisher", "price", "release_year"], "generic"),
        (["id", "game_title", "genres"], "games"),
        (["track_id", "title"], "music"),
        (["recipe_id", "name"], "recipes"),
        (["business_id", "name"], "places"),
        (["course_id", "title"], "courses"),
        (["job_id", "title"], "jobs"),
        (["StockCode", "Description"], "products"),
        (["id", "title", "author", "genres", "year"], "books"),
        (["ISBN", "Book-Title"], "books"),
        (["id", "headline"], "news"),
        (["id", "title", "abstract"], "news"),
        (["id", "title", "brand", "price"], "products"),
        (["id", "title", "colour", "price"], "generic"),
        (["id", "title", "facebook"], "generic"),
    ],
)
def test_the_domain_is_proposed_by_the_words_in_the_columns(tmp_path, columns, domain):
    assert propose_domain(guessed(tmp_path, {name: [name, f"{name} 2", f"{name} 3"] for name in columns}))[0] == domain


def test_fields_get_names_that_the_domain_and_jinja_can_read(tmp_path):
    columns = {"id": [1, 2, 3], "title": ["a", "b", "c"], "Release Year": [1, 2, 3], "item": [5, 5, 6]}
    columns |= {
        "list price": [1.5, 2.5, 3],
        "list-price": [1, 1, 2],
        "3d": [True, False, True],
        "user": ["x", "y", "x"],
    }

    names = field_names(guessed(tmp_path, columns), "films")

    assert names == {
        "Release Year": "year",
        "item": "item_",
        "list price": "list_price",
        "list-price": "list_price_",
        "3d": "field_3d",
        "user": "user_",
    }


def test_a_field_that_the_domain_would_show_wrongly_is_called_something_else(tmp_path):
    # The texts of books show `author` as it is: a list would be shown with its brackets.
    columns = {"isbn": ["1x", "2x", "3x"], "title": ["a", "b", "c"], "author": [["P"], ["Q"], ["R"]]}

    assert field_names(guessed(tmp_path, columns), "books") == {"author": "author_"}
    assert field_names(guessed(tmp_path, columns), "films") == {"author": "author"}


@given(
    st.text()
    | st.sampled_from(["no", "null", "1", "1e3", "2020-01-01", "a: b", "a #b", "~", "'", '"', "\x85", "\ufeff"])
)
def test_any_name_is_written_so_that_yaml_reads_the_same_name(name):
    written = yaml_value(name)

    assert yaml.safe_load(f"a:\n  b: {written}   # {written}\n") == {"a": {"b": name}}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5, unique=True))
@example(["__row", "row"])  # once the names of a column of ours
def test_columns_of_any_name_make_a_file_that_reads_them(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("any")
    columns = {"id": [1, 2], "title": ["a", "b"]} | {name: ["x", "x"] for name in names if name not in ("id", "title")}
    events = {"user": [1, 1], "item": [1, 2], "time": ["2020-01-01", "2020-01-02"], "label": [0, 1]}

    init(folder, events=write(folder / "e.parquet", events), items=write(folder / "i.parquet", columns))

    source = load_config(folder / "knowflow.yaml").source
    used = {*source.items.texts.values(), *source.items.categories.values(), source.items.title, source.items.id}
    assert used <= set(columns)
    assert len(load(source, folder).items) == 2


@pytest.mark.parametrize(("events", "by"), [(3, "global_time"), (12, "user_position")])
def test_a_log_of_few_events_a_user_is_proposed_to_be_split_by_time(tmp_path, events, by):
    rows = [(f"u{user}", f"i{event}", 1_600_000_000 + 60 * event) for user in range(9) for event in range(events)]
    pl.DataFrame(rows, schema=["user", "item", "time"], orient="row").write_csv(tmp_path / "events.csv")
    pl.DataFrame({"item": [f"i{n}" for n in range(events)], "title": [f"Thing {n}" for n in range(events)]}).write_csv(
        tmp_path / "items.csv"
    )
    tables = guess_tables(look(tmp_path / "events.csv"), look(tmp_path / "items.csv"))

    (line,) = [line for line in split_lines(tables[0]) if line.name == "by"]

    assert line.value == by
    assert ("3.0 events a user are too few" in line.comment) == (by == "global_time")
