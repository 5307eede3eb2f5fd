"""Files of new versions: read back as written, and no text is written twice."""

import pytest

from base.faults import WrongUse
from prompts.drafts import number_versions, version_of, with_front, write_prompt
from prompts.library import Library, choose_prompt, live_prompt
from prompts.prompt import read_prompt

FIRST = choose_prompt("kar_item", 1)
PARTS = (("system", "You know films: {{ domain.noun }} — all."), ("user", "Describe\nit.\n\n{{ input }}"))
ORIGIN = {"method": "gepa", "parent": "kar_item.v1", "seed": 3, "figures": {"probe": 0.25, "rows": 40}}


def test_a_written_draft_is_read_back_with_its_origin(tmp_path):
    draft = with_front(version_of(FIRST, PARTS, 7, tmp_path / "mine"), origin=ORIGIN)

    write_prompt(draft)

    read = read_prompt(tmp_path / "mine" / "kar_item.v7.md")
    assert (read.parts, read.front.status, read.front.sampling) == (PARTS, "draft", FIRST.front.sampling)
    assert read.front.answer_schema == FIRST.front.answer_schema
    assert read.front.origin is not None
    assert read.front.origin.model_dump() == ORIGIN
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["kar_item.v7.md"]


def test_where_it_comes_from_changes_no_key():
    draft = version_of(FIRST, FIRST.parts, 9)

    assert draft.digest == with_front(draft, origin=ORIGIN).digest == FIRST.digest


def test_a_text_that_has_a_file_keeps_its_version_and_new_ones_get_the_next(tmp_path):
    other = (("user", "{{ input }}"),)
    library = Library(own=tmp_path)
    assert number_versions(FIRST, [FIRST.parts, PARTS, other, PARTS], library) == [1, 3, 4, 3]

    write_prompt(version_of(FIRST, other, 3, tmp_path))

    assert number_versions(FIRST, [PARTS, other], library) == [4, 3]


def test_a_refresh_never_asks_with_a_written_draft(tmp_path):
    write_prompt(version_of(FIRST, PARTS, 3, tmp_path))
    library = Library(own=tmp_path)

    assert live_prompt("kar_item", None, library).name == "kar_item.v1"
    with pytest.raises(WrongUse, match="has status draft"):
        live_prompt("kar_item", 3, library)
