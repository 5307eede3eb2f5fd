"""knowflow init --from NAME: files as they are published are mapped by a preset, and load without an edit."""

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from app.config import load_config
from base.faults import WrongUse
from cli.errors import WRONG_INPUT, describe
from cli.init import init
from sources.faults import SourceFaults
from sources.load import load
from sources.preset import load_preset, preset_names

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # the published forms, shared with own_data.py

from published import ITEMS, PUBLISHED, kuairec, log, movielens, write  # noqa: E402

LIKED = sum(rating >= 4 for _, _, rating, _ in log())
TOLD = sum(item != 1 for _, item, _, _ in log())
COUNTS = {
    "book-crossing": (900 - sum(rating == 2 for _, _, rating, _ in log()), LIKED, 40),
    "steam": (899, LIKED - 1, 40),  # one review lacks the hours
    "mind": (1800, LIKED, 40),  # two items are shown on each page
    "kuairec": (900, sum(rating / 2 >= 2 for _, _, rating, _ in log()), 40),
    "lastfm": (900, 900, 40),  # positives only
    "lastfm-1k": (TOLD, TOLD, 39),  # one artist has no id
}
"""Events, positives and items of a preset whose numbers are not those of the whole log."""


@pytest.fixture
def films(tmp_path):
    movielens(tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("name", preset_names())
def test_files_as_they_are_published_load_without_an_edit(tmp_path, name):
    PUBLISHED[name](tmp_path / "data")

    code = init(tmp_path / "shop", tmp_path / "data", preset=name)

    text = (tmp_path / "shop" / "knowflow.yaml").read_text()
    config = load_config(tmp_path / "shop" / "knowflow.yaml")
    data = load(config.source, config.folder, config.skipped())
    assert code == 0
    assert "FILL_IN" not in yaml.safe_dump(yaml.safe_load(text))
    assert (len(data.events), int(data.events["label"].sum()), len(data.items)) == COUNTS.get(name, (900, LIKED, 40))
    assert (f"# preset {name}\n" in text) == (name != "recbole")  # of RecBole's files all is guessed from the header
    assert (data.sampled is not None) == ("negatives" in load_preset(name).label)
    assert config.skip == load_preset(name).skip
    assert load_preset(name).domain in (None, config.domain)


def test_of_two_tables_that_a_preset_knows_the_better_one_is_taken(tmp_path):
    kuairec(tmp_path / "data")
    head = "video_id,manual_cover_text,caption,topic_tag,first_level_category_id,first_level_category_name"
    head += ",second_level_category_id,second_level_category_name,third_level_category_id,third_level_category_name"
    videos = (f"{n},UNKNOWN,{'Cats' if n > 1 else ''},[猫],1,Pets,2,Cats,-124,UNKNOWN" for n in range(1, ITEMS + 1))
    write(tmp_path / "data" / "data" / "kuairec_caption_category.csv", [head, *videos])

    init(tmp_path / "shop", tmp_path / "data", preset="kuairec")

    config = load_config(tmp_path / "shop" / "knowflow.yaml")
    items = load(config.source, config.folder, config.skipped()).items
    assert items["title"].to_list()[:2] == ["[猫]", "Cats"]
    assert items["first_level_category_name"].to_list()[0] == ["Pets"]


def test_the_lists_that_kuairec_writes_as_text_are_read(tmp_path):
    kuairec(tmp_path / "data")

    init(tmp_path / "shop", tmp_path / "data", preset="kuairec")

    config = load_config(tmp_path / "shop" / "knowflow.yaml")
    tags = load(config.source, config.folder, config.skipped()).items["tags"].to_list()
    assert sorted(tags) == sorted([str(number % 4), "9"] for number in range(1, ITEMS + 1))


def test_presets_are_in_the_package():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]

    assert "presets/*.yaml" in settings["package-data"]["sources"]
    assert set(preset_names()) <= set(PUBLISHED)


def test_the_list_shows_every_preset_with_what_it_is(capsys):
    code = init(preset="list")
    shown = capsys.readouterr().out
    init(preset="list", json=True)

    listed = json.loads(capsys.readouterr().out)["presets"]
    assert code == 0
    assert all(f"{name} " in shown for name in preset_names())
    assert "ratings of films from 0.5 to 5" in shown
    assert [one["name"] for one in listed] == preset_names()


def test_an_unknown_name_lists_the_presets_the_most_similar_first(tmp_path, films):
    with pytest.raises(WrongUse) as told:
        init(tmp_path / "shop", films, preset="movielens1m")

    lines = str(told.value).splitlines()
    assert describe(told.value).code == WRONG_INPUT
    assert lines[0] == "there is no preset 'movielens1m'; there are:"
    assert lines[1].split()[0] == "movielens-1m"
    assert sorted(line.split()[0] for line in lines[1:-1]) == preset_names()


def test_files_that_are_missing_are_named_all_at_once(tmp_path):
    (tmp_path / "data").mkdir()

    with pytest.raises(SourceFaults) as told:
        init(tmp_path / "shop", tmp_path / "data", preset="movielens-1m")

    assert describe(told.value).code == WRONG_INPUT
    assert "holds no file of the events; looked for ratings.dat" in str(told.value)
    assert "holds no file of the items; looked for movies.dat" in str(told.value)
    assert not (tmp_path / "shop").exists()


def test_columns_that_are_missing_are_named_all_at_once(tmp_path, films):
    (films / "ratings.csv").write_text("user,movieId,rating,timestamp\n1,1,4.0,1500000000\n")
    (films / "movies.csv").write_text("movieId,name,genres\n1,Heat,Crime\n")

    with pytest.raises(SourceFaults) as told:
        init(tmp_path / "shop", films, preset="movielens")

    assert "'userId'" not in str(told.value)
    assert "userId  is missing, which the preset names as events.user; did you mean 'user'?" in str(told.value)
    assert "title  is missing, which the preset names as items.title; there are 'movieId', 'name', 'genres'" in str(
        told.value
    )
    assert not (tmp_path / "shop").exists()


def test_a_path_that_is_given_goes_before_the_names_of_the_preset(tmp_path, films):
    (films / "ratings.csv").rename(films / "mine.csv")

    init(tmp_path / "shop", films, preset="movielens", events=films / "mine.csv")

    assert load_config(tmp_path / "shop" / "knowflow.yaml").source.events.path == "../data/mine.csv"


def test_a_team_s_own_preset_is_a_path_and_what_it_leaves_out_is_guessed(tmp_path, films):
    own = tmp_path / "ours.yaml"
    own.write_text(
        "about: ours\nevents: {path: [ratings.csv], rating: rating}\nitems: {path: [movies.csv]}\n"
        "label: {rating_at_least: 3}\nsplit: {by: global_time, train: 0.7}\n"
    )

    init(tmp_path / "shop", films, preset=str(own))

    text = re.sub(" +", " ", (tmp_path / "shop" / "knowflow.yaml").read_text())
    source = load_config(tmp_path / "shop" / "knowflow.yaml").source
    assert source.label.rating_at_least == 3
    assert (source.split.by, source.split.train, source.split.validation) == ("global_time", 0.7, 0.1)
    assert (source.events.user, source.items.categories) == ("userId", {"genres": "genres"})
    assert " rating: rating # preset ours\n" in text
    assert " user: userId # guessed from its name\n" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("about: x\nitems: {path: [movies.csv]}\n", "events  is missing"),
        ("about: x\nevents: {path: ratings.csv}\nitems: {path: [movies.csv]}\n", "path should be a list of names"),
        ("about: x\nevents: {path: [ratings.csv], usr: u}\nitems: {path: [movies.csv]}\n", "did you mean 'user'?"),
        ("about: [x\n", "cannot be read"),
    ],
)
def test_a_preset_that_is_wrong_is_explained(tmp_path, films, content, words):
    own = tmp_path / "ours.yaml"
    own.write_text(content)

    with pytest.raises(WrongUse) as told:
        init(tmp_path / "shop", films, preset=str(own))

    assert words in str(told.value)
    assert "ours" in str(told.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name the folder to write knowflow.yaml to"),
        (["shop"], "give --events FILE and --items FILE, or --from NAME"),
        (["shop", "data"], "data is a folder of data, which needs --from NAME"),
    ],
)
def test_arguments_that_do_not_go_together_are_explained(arguments, words):
    with pytest.raises(WrongUse, match=words) as told:
        init(*[Path(one) for one in arguments])

    assert "knowflow init --from list" in str(told.value) or arguments == []


def test_it_works_as_a_command(tmp_path, films, plain_knowflow):
    made = plain_knowflow.run("init", tmp_path / "shop", "--from", "movielens", films)
    planned = plain_knowflow.run("plan", "--config", tmp_path / "shop" / "knowflow.yaml")

    assert (made.returncode, planned.returncode) == (0, 0)
    assert f"next: knowflow plan --config {tmp_path}/shop/knowflow.yaml" in made.stderr
