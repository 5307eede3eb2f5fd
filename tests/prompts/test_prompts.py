"""Prompt files: found by walking, checked when read, rendered character by character as the answers were asked for."""

import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.faults import WrongUse
from prompts.domain import Domain, load_domain
from prompts.library import FOLDER, Library, choose_prompt, find_prompts, live_prompt
from prompts.prompt import read_prompt
from prompts.untrusted import as_data

FILMS = load_domain("films")
ALL = [prompt for versions in find_prompts().values() for prompt in versions.values()]
GOOD = "---\ntask: toy\nversion: 1\nstatus: live\nschema: {type: text}\nsampling: {max_tokens: 9}\n---\n# user\nSay {{ word }}\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_item_prompt_is_the_recorded_one_character_by_character():
    messages = choose_prompt("kar_item", 1).render({"input": "Heat (1995) [Action, Crime, Thriller]"}, FILMS)

    assert messages == [
        {
            "role": "user",
            "content": "Introduce this movie and describe its attributes precisely: genre and subgenre, director, main cast, "
            "plot and theme, mood and tone, visual or production style, critical reception.\n"
            "45-65 words. Answers in English, plain text, one paragraph, no markdown.\n\n"
            "Heat (1995) [Action, Crime, Thriller]",
        }
    ]


def test_the_user_prompt_is_the_recorded_one_character_by_character():
    messages = choose_prompt("kar_user", 1).render({"input": "Heat (1995): 4; Fargo (1996): 5"}, FILMS)

    assert messages == [
        {
            "role": "user",
            "content": "Given this user's viewing history, analyse the user's preferences with reasons drawn from it, over the "
            "aspects that apply: genre, period and country, theme and plot, character, mood and tone, director and cast, "
            "production quality, critical acclaim. Likes first, then dislikes.\n"
            "75-105 words, at most four films named, generalising to what such a user would like or avoid next, noting how "
            "generous or harsh the user rates. Answers in English, plain text, one paragraph, no markdown.\n\n"
            "Heat (1995): 4; Fargo (1996): 5",
        }
    ]


@pytest.mark.parametrize("prompt", ALL, ids=lambda prompt: prompt.name)
def test_every_prompt_puts_what_all_rows_share_before_what_one_row_shows(prompt):
    text = "".join(text for _, text in prompt.parts)
    first_variable = min(text.index(match[0]) for match in re.finditer(r"{{\s*(\w+)", text) if match[1] != "domain")

    assert "{{ domain" not in text[first_variable:]
    assert len(text[first_variable:]) < len(text) / 4


@pytest.mark.parametrize("prompt", ALL, ids=lambda prompt: prompt.name)
@pytest.mark.parametrize("domain", ["films", "books", "news", "generic"])
def test_every_prompt_renders_in_every_domain_without_code(prompt, domain):
    messages = prompt.render(dict.fromkeys(prompt.variables, "SHOWN"), load_domain(domain))

    assert all("{{" not in message["content"] and "SHOWN" in message["content"] for message in messages)


def test_a_new_domain_needs_a_new_list_and_no_code(tmp_path):
    write(
        tmp_path,
        "wine.yaml",
        "noun: wine\nplural: wines\nhistory: tasting history\nitem_factors: [grape, soil]\nuser_factors: [body]\n"
        "name: '{{ title }}'\ndescription: '{{ title }} from {{ region }}'\n",
    )
    wine = load_domain("wine.yaml", tmp_path)

    content = choose_prompt("kar_item").render({"input": wine.item_description({"title": "A", "region": "B"})}, wine)[
        0
    ]["content"]

    assert content.startswith("Introduce this wine and describe its attributes precisely: grape, soil.")
    assert content.endswith("A from B")


@pytest.mark.parametrize(
    ("item", "name", "description"),
    [
        (
            {"title": "Heat", "year": 1995.0, "genres": ["Action", "Crime"]},
            "Heat (1995)",
            "Heat (1995) [Action, Crime]",
        ),
        ({"title": "Babylon 5", "year": None, "genres": ["Sci-Fi"]}, "Babylon 5 (None)", "Babylon 5 (None) [Sci-Fi]"),
        ({"title": "La cravate", "year": 1957.0, "genres": []}, "La cravate (1957)", "La cravate (1957) []"),
        ({"title": "No other field"}, "No other field", "No other field"),
        ({"title": "{{ 7 * 7 }}"}, "{{ 7 * 7 }}", "{{ 7 * 7 }}"),
    ],
)
def test_films_are_shown_as_recorded_and_titles_are_never_run_as_templates(item, name, description):
    assert FILMS.item_name(item) == name
    assert FILMS.item_description(item) == description


def test_ratings_are_shown_without_trailing_zeros():
    assert FILMS.event("Heat (1995)", 4.0, 1) == "Heat (1995): 4"
    assert FILMS.event("Heat (1995)", 3.5, 0) == "Heat (1995): 3.5"


def test_events_without_a_rating_are_named_or_marked_by_the_words_of_the_domain():
    marking = FILMS.model_copy(update={"unrated": "decisions"})

    assert FILMS.event("Heat (1995)", None, 1) == "Heat (1995)"
    assert marking.event("Heat (1995)", None, 1) == "Heat (1995): likes"
    assert marking.event("Heat (1995)", None, 0) == "Heat (1995): does not like"
    assert marking.event("Heat (1995)", 4.0, 1) == "Heat (1995): 4"


@given(st.text())
def test_what_a_row_shows_is_never_read_as_a_template(text):
    content = choose_prompt("kar_item").render({"input": "{{ domain.noun }}" + text}, FILMS)[0]["content"]

    assert content.endswith(as_data("{{ domain.noun }}" + text))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("toy.v1.md", "no front matter", "has no front matter"),
        ("toy.v1.md", GOOD.replace("task: toy", "task: ["), "not YAML"),
        ("toy.v1.md", GOOD.replace("status: live", "status: maybe"), "status"),
        ("toy.v1.md", GOOD.replace("schema: {type: text}\n", ""), "schema"),
        ("toy.v2.md", GOOD, "rename the file"),
        ("toy.v1.md", GOOD.replace("# user\n", ""), "must start with a line"),
        ("toy.v1.md", GOOD.replace("{{ word }}", "{{ word"), "does not parse"),
    ],
)
def test_a_wrong_prompt_file_is_refused_in_words(tmp_path, name, text, message):
    with pytest.raises(WrongUse, match=message):
        read_prompt(write(tmp_path, name, text))


def test_a_prompt_file_in_another_encoding_is_refused_in_words(tmp_path):
    path = tmp_path / "toy.v1.md"
    path.write_bytes("---\ntask: toy\nversion: 1\n---\n# user\nSay café".encode("latin-1"))

    with pytest.raises(WrongUse, match=r"toy\.v1\.md: is not UTF-8 text\n  save it as UTF-8"):
        read_prompt(path)


def test_a_file_is_parsed_once_and_a_changed_one_again(tmp_path):
    path = write(tmp_path, "toy.v1.md", GOOD)
    first = read_prompt(path)

    assert read_prompt(path) is first
    # Changed in the same tick of the clock, and as long as before.
    changed = read_prompt(write(tmp_path, "toy.v1.md", GOOD.replace("Say", "Cry")))
    assert changed.parts == (("user", "Cry {{ word }}"),)
    with pytest.raises(WrongUse, match="rename the file"):
        read_prompt(write(tmp_path, "toy.v2.md", GOOD))  # the same text under another name


def test_a_missing_variable_names_the_file_and_the_variable(tmp_path):
    prompt = read_prompt(write(tmp_path, "toy.v1.md", GOOD))

    with pytest.raises(WrongUse, match=r"toy\.v1\.md: 'word' is undefined"):
        prompt.render({}, FILMS)


def versions(folder: Path, *statuses: str, said: str = "Say") -> Path:
    """Write a version of the toy prompt for each status."""
    for version, status in enumerate(statuses, 1):
        text = GOOD.replace("version: 1", f"version: {version}").replace("status: live", f"status: {status}")
        write(folder, f"toy.v{version}.md", text.replace("Say", said))
    return folder


def test_the_newest_live_version_is_chosen_unless_another_is_named(tmp_path):
    library = Library((versions(tmp_path, "live", "live", "trial", "draft"),))

    assert choose_prompt("toy", library=library).name == "toy.v2"
    assert choose_prompt("toy", 3, library).name == "toy.v3"
    there = r"there are toy\.v1 \(live\), toy\.v2 \(live\), toy\.v3 \(trial\), toy\.v4 \(draft\)"
    with pytest.raises(WrongUse, match=rf"toy\.v9\.md: is not under prompts/, prompts: or plugins:; {there}"):
        choose_prompt("toy", 9, library)


@pytest.mark.parametrize(("version", "status"), [(2, "trial"), (3, "draft"), (4, "retired")])
def test_a_refresh_asks_with_a_live_version_only(tmp_path, version, status):
    library = Library((versions(tmp_path, "live", "trial", "draft", "retired"),))

    assert live_prompt("toy", None, library).name == live_prompt("toy", 1, library).name == "toy.v1"
    with pytest.raises(
        WrongUse, match=rf"toy\.v{version}\.md: has status {status}.*\n.*promote toy --version v{version}"
    ):
        live_prompt("toy", version, library)


def test_a_teams_own_prompts_shadow_the_others_by_name_and_version(tmp_path):
    plugin, own = tmp_path / "plugin", tmp_path / "own"
    plugin.mkdir(), own.mkdir()
    library = Library((versions(plugin, "live", "draft"),), versions(own, "retired", said="Shout"))

    assert choose_prompt("toy", 1, library).parts == (("user", "Shout {{ word }}"),)
    assert choose_prompt("toy", 2, library).parts == (("user", "Say {{ word }}"),)
    with pytest.raises(WrongUse, match="a live toy"):  # the live version is shadowed by a retired one
        choose_prompt("toy", library=library)
    shutil.copy(FOLDER / "kar" / "kar_item.v2.md", own)
    assert choose_prompt("kar_item", 2, library).path.parent == own
    assert choose_prompt("kar_item", 1, library).path.parent.name == "kar"


def test_two_files_of_one_version_that_do_not_shadow_each_other_are_a_fault(tmp_path):
    plugin, again = tmp_path / "plugin", tmp_path / "plugin" / "again"
    again.mkdir(parents=True)
    library = Library((versions(plugin, "live"),), None)
    versions(again, "live")

    with pytest.raises(WrongUse, match=r"toy\.v1\.md: exists twice"):
        choose_prompt("toy", library=library)


def test_a_domain_that_is_not_there_names_those_that_are():
    known = "books, courses, films, games, generic, jobs, music, news, places, products, recipes"
    with pytest.raises(WrongUse, match=f"use one of {known}"):
        load_domain("gardens")


def test_domain_keys_are_documented():
    assert all(field.description for field in Domain.model_fields.values())


def test_a_domain_without_a_description_shows_the_title_and_every_field_that_has_a_value():
    item = {
        "item": "7",
        "title": "Runner",
        "brand": ["Acme"],
        "tags": [],
        "about": "A shoe.",
        "price": 10.5,
        "size": None,
    }

    for name in ("generic", "products", "games", "music", "recipes", "places", "courses", "jobs"):
        domain = load_domain(name)
        assert domain.item_description(item) == "Runner; brand: Acme; about: A shoe.; price: 10.5"
        assert domain.item_name(item) == "Runner"
        assert domain.unrated == "positives"
        assert min(len(domain.item_factors), len(domain.user_factors)) >= 6


def test_a_broken_draft_of_another_task_stops_nothing(tmp_path):
    library = Library(own=versions(tmp_path, "live"))
    write(tmp_path, "other.v1.md", "")

    assert choose_prompt("toy", library=library).name == "toy.v1"
    with pytest.raises(WrongUse, match=r"other\.v1\.md: has no front matter"):
        choose_prompt("other", library=library)
    with pytest.raises(WrongUse, match=r"other\.v1\.md"):
        find_prompts(library)
