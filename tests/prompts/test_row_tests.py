"""A team's own tests of answers: what they say of a text, and what is wrong with their file."""

import pytest

from base.faults import WrongUse
from prompts.library import Library
from prompts.row_tests import RowTest, read_tests


@pytest.mark.parametrize(
    ("test", "faults"),
    [
        (RowTest(contains=("PRISON", "hope")), []),
        (RowTest(contains=("court",)), ["does not contain 'court'"]),
        (RowTest(not_contains=("as an AI", "Hope")), ["contains 'Hope'"]),
        (RowTest(regex=r"19\d\d"), []),
        (RowTest(regex=r"^\d"), [r"does not match ^\d"]),
        (RowTest(max_words=6), []),
        (RowTest(max_words=5), ["has 6 words, more than 5"]),
    ],
)
def test_a_test_says_what_a_text_does_not_hold(test, faults):
    assert list(test.faults("A prison film of hope, 1994")) == faults


def test_a_row_without_a_text_passes_no_test():
    assert list(RowTest().faults(None, "refused: no")) == ["has no text: refused: no"]


def test_the_file_lies_beside_the_prompts_and_is_checked(tmp_path):
    library = Library(own=tmp_path)
    file = tmp_path / "films" / "kar_item.tests.yaml"
    file.parent.mkdir()

    assert read_tests(library, "kar_item") == ()
    file.write_text("- {entity: 318, contains: [prison]}\n- {max_words: 70}\n")
    assert read_tests(library, "kar_item") == (RowTest(entity="318", contains=("prison",)), RowTest(max_words=70))
    assert read_tests(library, "kar") == ()
    for wrong, told in (
        ("max_words: 3", "is no list of tests"),
        ("- {words: 3}", "words: Extra inputs"),
        ("- {regex: '('}", "is no regular expression"),
        ("- {max_words: 0}", "max_words"),
        ("- [", "is not YAML"),
    ):
        file.write_text(wrong)
        with pytest.raises(WrongUse, match=told):
            read_tests(library, "kar_item")
