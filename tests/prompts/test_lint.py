"""Every rule of the lint finds what it is about, leaves a good prompt alone, and finds no fault in a shipped prompt."""

import pytest

from prompts.domain import load_domain
from prompts.library import find_prompts
from prompts.lint import Checked, lint
from prompts.prompt import read_prompt
from prompts.skeleton import DATA, FORK, skeleton

FILMS = load_domain("films")
SHIPPED = [prompt for versions in find_prompts().values() for prompt in versions.values()]
GOOD = "# user\nDescribe this {{ domain.noun }} in one sentence. Answer in English, plain text.\n\n{{ input }}\n"


def words(messages):
    """Count words, and two tokens a message as a chat template would add."""
    return sum(len(message["content"].split()) + 2 for message in messages)


@pytest.fixture
def prompt_of(tmp_path):
    """Write a prompt's text to a file and read it."""

    def write(text=GOOD, schema="{type: text}", longest=9):
        front = f"task: toy\nversion: 1\nstatus: draft\nschema: {schema}\nsampling: {{max_tokens: {longest}}}"
        path = tmp_path / "toy.v1.md"
        path.write_text(f"---\n{front}\n---\n{text}", encoding="utf-8")
        return read_prompt(path)

    return write


@pytest.fixture
def found(prompt_of):
    """(rule, level) of everything found in a prompt, and the texts."""

    def check(text=GOOD, schema="{type: text}", offered=("input",), rows=(), room=None, longest=9):
        known = None if offered is None else frozenset(offered)
        findings = lint(Checked(prompt_of(text, schema, longest), FILMS, known, rows, words, room))
        return [(one.rule, one.level) for one in findings], " ".join(one.text for one in findings)

    return check


def test_a_good_prompt_has_nothing_wrong(found):
    assert found(rows=[{"input": "Heat"}], room=100) == ([], "")


def test_a_variable_that_rows_do_not_offer_is_a_fault_and_rows_are_not_rendered(found):
    rules, text = found(GOOD + "{{ plot }}\n", rows=[{"input": "Heat"}], room=1)

    assert rules == [("unknown_variables", "fault")]
    assert "uses plot, which its rows do not offer: input" in text


def test_where_nobody_knows_what_rows_offer_no_variable_is_unknown(found):
    assert found(GOOD + "{{ plot }}\n", offered=None)[0] == []


def test_a_variable_that_the_text_leaves_out_is_a_warning(found):
    assert found(offered=("input", "known")) == (
        [("unused_variables", "warning")],
        "does not show known, which its rows offer",
    )


@pytest.mark.parametrize("text", ["{{ domain.nuon }}: {{ input }}", "{{ input.plot }}"])
def test_a_word_that_is_not_there_is_a_fault(found, text):
    rules, said = found(f"# user\nIn English:\n{text}\n", rows=[{"input": "Heat"}], room=99)

    assert rules == [("unknown_variables", "fault")]
    assert "cannot be rendered: toy.v1.md: " in said


def test_every_field_and_choice_of_the_form_must_stand_in_the_text(found):
    schema = "{type: object, fields: {box_office: {type: text}, mood: {type: choice, choices: [sad, glad]}}}"
    told = GOOD.replace("plain text", "as JSON: {}")

    assert found(told.replace("{}", "box office (text), Mood (sad or glad)"), schema)[0] == []
    rules, text = found(told.replace("{}", "box office, moody, glad"), schema)
    assert rules == [("schema_mentioned", "fault")]
    assert "does not mention mood, sad, which" in text
    assert found(GOOD, "{type: choice, choices: [Describe, Hide]}")[1].startswith("the text does not mention Hide,")
    assert found(GOOD, "{type: scores, candidates: ['Yes', 'No']}")[0] == []  # they are scored, not written


def test_a_field_that_only_the_data_mentions_is_not_mentioned(found):
    schema = "{type: object, fields: {input: {type: text}}}"

    assert found(GOOD, schema)[0] == [("schema_mentioned", "fault")]


@pytest.mark.parametrize(
    "line",
    [
        "{{ input }}",
        "- {{ input }}",
        "Film: {{ input }}",
        'The film "{{ input }}" is meant.',
        "The film (`{{ input }}`) is meant.",
        "<film>{{ input | upper }}</film>",
        "{% for one in input %}{{ one }}: {{ loop.index }}; {% endfor %}",
        "Its {{ input }}:",
    ],
)
def test_data_on_its_own_line_in_quotes_in_tags_or_after_a_colon_is_delimited(found, line):
    assert found(f"# user\nIn English, please.\n{line}\n")[0] == []


@pytest.mark.parametrize(
    "line",
    ["Describe {{ input }} well.", "The film {{ input }}", "{{ input }} is a film", "<b>{{ input }}"],
)
def test_data_within_a_sentence_is_a_fault(found, line):
    rules, text = found(f"# user\nIn English, please.\n{line}\n")

    assert rules == [("data_delimited", "fault")]
    assert "{{ ... }}" in text


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_data_in_the_message_of_another_role_is_a_fault(found, role):
    rules, text = found(f"# {role}\nKnown:\n{{{{ known }}}}\n{GOOD}", offered=("input", "known"))

    assert ("data_for_the_user", "fault") in rules
    assert f"its {role} message shows data" in text
    assert found(f"# {role}\nYou know {{{{ domain.plural }}}}.\n{GOOD}")[0] == []


def test_text_of_its_own_after_the_first_data_is_a_warning_with_the_shares(found):
    late = "# user\nFilm: {{ input }}\nDescribe this film in one sentence. Answer in English, plain text, no more.\n"

    rules, text = found(late)

    # "Film:" is 1 word; the sentence after the data has 13.
    assert rules == [("shared_first", "warning")]
    assert "13 of the 14 tokens of its own text" in text
    assert "(7% are shared)" in text


def test_an_if_on_data_ends_the_shared_part_and_an_if_on_the_domain_does_not(found):
    own = "Describe this film in one sentence. Answer in English, plain text, no more."
    rows = "# user\n{{% if {0} %}}Note this.{{% endif %}}\n" + own + "\n{{{{ input }}}}\n"

    assert found(rows.format("input"))[0] == [("shared_first", "warning")]
    assert found(rows.format("domain.noun == 'movie'"))[0] == []


def test_rows_longer_than_the_context_are_a_warning_and_if_none_fits_a_fault(found):
    rows = [{"input": "Heat"}, {"input": " ".join("abcdefghij")}]
    # 11 words of its own ("this movie" is two), 2 for the message; 1 and 10 words of data, and an answer of 9.
    own = 2 + len(["Describe", "this", "movie", "in", "one", "sentence.", "Answer", "in", "English,", "plain", "text."])

    assert found(rows=rows, room=own + 10 + 9)[0] == []
    rules, text = found(rows=rows, room=own + 10 + 9 - 1)
    assert rules == [("length", "warning")]
    assert f"the longest of 2 sampled rows is cut or not asked: {own + 10} tokens and an answer of 9 do not fit" in text
    assert found(rows=rows, room=own + 1 + 9)[0] == [("length", "warning")]
    assert found(rows=rows, room=own + 1 + 9 - 1)[0] == [("length", "fault")]


def test_a_prompt_that_names_no_language_is_a_warning_unless_its_answer_is_one_of_some_words(found):
    silent = GOOD.replace("Answer in English, plain text.", "Answer Yes or No.")

    assert found(silent)[0] == [("language_named", "warning")]
    assert found(silent, "{type: choice, choices: ['Yes', 'No']}")[0] == []
    assert found(silent.replace("Answer", "In the language of the user, answer"))[0] == []


def test_all_findings_come_at_once(found):
    rules, _ = found("# system\nSay {{ plot }} of it.\n# user\nNow!\n", "{type: choice, choices: [a, b]}")

    assert rules == [
        ("unknown_variables", "fault"),
        ("unused_variables", "warning"),
        ("schema_mentioned", "fault"),
        ("data_delimited", "fault"),
        ("data_for_the_user", "fault"),
    ]


@pytest.mark.parametrize("prompt", SHIPPED, ids=lambda prompt: prompt.name)
@pytest.mark.parametrize("domain", ["films", "news", "generic"])
def test_no_shipped_prompt_has_a_fault(prompt, domain):
    checked = Checked(prompt, load_domain(domain), prompt.variables, (), words, None)

    assert [one for one in lint(checked) if one.level == "fault"] == []


def test_a_skeleton_marks_data_and_renders_the_words_of_the_domain(prompt_of):
    text = (
        "# system\nYou know {{ domain.plural }}{% for one in domain.decisions %}, {{ one }}{% endfor %}.\n"
        "# user\n{% set shown = input | upper %}{% if known %}Known: {{ known }}{% else %}Nothing{% endif %}\n"
        "{% for event in events %}{{ loop.index }}. {{ event.name }}\n{% endfor %}{{ shown }}"
    )

    assert skeleton(prompt_of(text), FILMS) == (
        ("system", "You know films, does not like, likes."),
        ("user", f"{FORK}Known: {DATA}\n{FORK}{DATA}. {DATA}\n{DATA}"),
    )
