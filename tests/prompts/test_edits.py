"""Edits of prompt files: one value changes, every other byte stays, and nothing that exists is overwritten."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.faults import WrongUse
from prompts.domain import load_domain
from prompts.edits import begin_domain, begin_version, free_version, set_status, with_front
from prompts.library import FOLDER, Library, choose_prompt, find_prompts
from prompts.prompt import read_prompt

HEAD = "---\ntask: toy\nversion: 1\nstatus: live\nschema: {type: text}\nsampling: {max_tokens: 9}\n---\n"
GOOD = HEAD + "# user\nSay {{ word }}\nstatus: live\n"


def write(folder, name, text=GOOD):
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.sampled_from(["\n", "\r\n"]))
def test_all_but_the_value_stays_as_it_is(body, end):
    text = GOOD.replace("\n", end) + body

    changed = with_front(text, {"status": "retired"}, "toy.v1.md")

    assert changed == text.replace("status: live", "status: retired", 1)


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("status: live  # for now", "status: trial  # for now"),
        ('status : "live"', "status : trial"),
        ("status:\t'live' ", "status:\ttrial "),
    ],
)
def test_quotes_comments_and_blanks_are_understood(line, becomes):
    text = GOOD.replace("status: live\nschema", f"{line}\nschema")

    assert with_front(text, {"status": "trial"}, "toy.v1.md").splitlines()[3] == becomes


@pytest.mark.parametrize("line", ["{status: live}", "  status: live", "Status: live", "status: live live"])
def test_a_value_without_a_line_of_its_own_is_refused_in_words(line):
    with pytest.raises(
        WrongUse, match=r"toy\.v1\.md: its front matter has no line `status: \.\.\.`\n  write `status:`"
    ):
        with_front(GOOD.replace("status: live\nschema", f"{line}\nschema"), {"status": "trial"}, "toy.v1.md")


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.v*.md")), ids=lambda path: path.name)
def test_the_status_of_every_shipped_prompt_can_be_set(path, tmp_path):
    prompt = read_prompt(path)

    set_status(prompt, "retired", tmp_path / path.name)

    copy = read_prompt(tmp_path / path.name)
    assert copy.front == prompt.front.model_copy(update={"status": "retired"})
    assert (copy.parts, copy.digest) == (prompt.parts, prompt.digest)


def test_a_new_version_is_a_draft_of_the_next_number_that_no_folder_has(tmp_path):
    plugin, own = tmp_path / "plugin", tmp_path / "own"
    plugin.mkdir()
    write(plugin, "toy.v1.md"), write(plugin, "toy.v2.md", GOOD.replace("version: 1", "version: 2"))
    library = Library((plugin,), own)

    number = free_version("toy", library)
    path = begin_version(choose_prompt("toy", 1, library), own, number)

    assert (number, path) == (3, own / "toy.v3.md")
    begun = choose_prompt("toy", 3, library)
    assert begun.front.status == "draft"
    assert begun.digest == choose_prompt("toy", 1, library).digest
    assert free_version("toy", library) == 4
    assert free_version("kar_item", library) == 3
    assert [one.name for one in own.iterdir()] == ["toy.v3.md"]


def test_a_file_that_exists_is_not_overwritten(tmp_path):
    prompt = read_prompt(write(tmp_path, "toy.v1.md"))
    mine = write(tmp_path, "toy.v2.md", "mine")

    with pytest.raises(WrongUse, match=r"toy\.v2\.md: exists\n  edit it, or delete it first"):
        begin_version(prompt, tmp_path, 2)
    assert mine.read_text() == "mine"


def test_a_domain_is_copied_and_shadows_the_one_it_came_from(tmp_path):
    own = tmp_path / "own"

    path = begin_domain("films", Library(), own)
    path.write_text(path.read_text().replace("plural: films", "plural: pictures"))

    assert path == own / "domains" / "films.yaml"
    assert load_domain("films", folders=Library((), own).domain_folders).plural == "pictures"
    with pytest.raises(WrongUse, match="exists"):
        begin_domain("films", Library((), own), own)
    with pytest.raises(WrongUse, match=r"there is no domain gardens\n  use one of books, courses, films"):
        begin_domain("gardens", Library(), own)


def test_the_teams_folder_may_lie_within_a_folder_of_plug_ins(tmp_path):
    own = tmp_path / "prompts"
    own.mkdir()
    write(tmp_path, "toy.v1.md"), write(own, "toy.v1.md", GOOD.replace("Say", "Shout"))
    library = Library((tmp_path,), own)

    (prompt,) = find_prompts(library)["toy"].values()

    assert re.match("Shout", prompt.parts[0][1])
