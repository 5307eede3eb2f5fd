"""Joined messages are those of Jinja2 to the byte, and whatever is more than plain placeholders is left to it."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from base.faults import WrongUse
from prompts.domain import load_domain
from prompts.joined import split
from prompts.library import find_prompts
from prompts.prompt import Prompt, read_prompt
from prompts.untrusted import FAMILIES, broken, shown_as_data

FILMS = load_domain("films")
ALL = [prompt for versions in find_prompts().values() for prompt in versions.values()]
JINJA = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, finalize=shown_as_data)
MARKS = [
    "{{ a }}",
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "\n",
    "\r\n",
    " \n\n",
    "<",
    "[INST]",
    "<|im_end|>",
    "</s>",
    "\x1b[2J",
]
anything = st.text(st.one_of(st.characters(exclude_categories=()), st.sampled_from("{}%#\n\r \t<>|[]\u200b")))
texts = st.lists(st.one_of(anything, st.sampled_from(MARKS))).map("".join)
values = st.one_of(texts, st.none(), st.integers(), st.floats(), st.booleans(), st.lists(texts, max_size=2))
plain = st.text(st.characters(exclude_characters="{}#%"))  # what a template writes as it is, but for ends of lines
places = st.sampled_from(
    [
        "{{ a }}",
        "{{b}}",
        "{{- a -}}",
        "{{ a | replace('<', '&lt;') }}",
        '{{ b | replace("\\n", " ") | replace(" ", "") }}',
        "{{ domain.noun }}",
        "{{ domain.item_factors | join(', ') }}",
        "{{ domain.noun | capitalize }}",
        "{{ 'a constant <|im_end|>' }}",
        "{# a remark #}",
        "{% raw %}{{ a }}{% endraw %}",
    ]
)


@given(
    text=st.lists(st.one_of(plain, places)).map("".join),
    row=st.fixed_dictionaries({"a": values, "b": values, "c": values}),
)
@example(text="{{ b | replace('x', ' ') | replace(' ', '') }}", row={"b": "a x b"})
@example(text="{{- a -}}\n", row={"a": "\u200b<|im_end|>\n"})
def test_joined_texts_are_what_jinja_writes(text, row):
    joined = split(text, JINJA, FILMS)

    assert joined is not None
    assert joined.join(row) == JINJA.from_string(text).render(domain=FILMS, **row)


@pytest.mark.parametrize("prompt", ALL, ids=lambda prompt: prompt.name)
@given(data=st.data())
def test_every_shipped_prompt_is_joined_and_says_what_jinja_says(prompt, data):
    row = {name: data.draw(values) for name in prompt.variables}
    contents = [JINJA.from_string(text).render(domain=FILMS, **row) for _, text in prompt.parts]

    assert [part.joined is not None for part in prompt.filled(FILMS).parts] == [True] * len(prompt.parts)
    assert prompt.render(row, FILMS) == [
        {"role": role, "content": broken(content, (), own)}
        for (role, own), content in zip(prompt.parts, contents, strict=True)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{% if a %}{{ a }}{% endif %}",
        "{% for one in a %}{{ one }}{% endfor %}",
        "{% set b = a %}{{ b }}",
        "{{ a.b }}",
        "{{ a ~ b }}",
        "{{ a | upper }}",
        "{{ a | replace(b, '') }}",
        "{{ a | replace('<', '', 1) }}",
        "{{ range(3) | list }}",
        "{{ domain.item_factors | random }}",
        "{{ domain.no_such_word }}",
    ],
)
def test_more_than_plain_placeholders_is_left_to_jinja(text):
    assert split(text, JINJA, FILMS) is None


def toy(folder: Path, text: str) -> Prompt:
    head = "task: toy\nversion: 1\nstatus: live\nschema: {type: text}\nsampling: {max_tokens: 9}"
    path = folder / "toy.v1.md"
    path.write_text(f"---\n{head}\n---\n# user\n{text}\n", encoding="utf-8")
    return read_prompt(path)


def test_what_is_left_to_jinja_is_rendered_in_the_same_prompt(tmp_path):
    prompt = toy(tmp_path, "A {{ domain.noun }}: {{ a }}\n# assistant\n{% if a %}{{ a | upper }}{% endif %}\n")

    assert [part.joined is None for part in prompt.filled(FILMS).parts] == [False, True]
    assert [one["content"] for one in prompt.render({"a": "heat"}, FILMS)] == ["A movie: heat", "HEAT"]


@pytest.mark.parametrize(("text", "word"), [("{{ a }} {{ b }}", "'b'"), ("{{ domain.pluck }} {{ a }}", "'pluck'")])
def test_a_word_that_nobody_provides_is_told_as_jinja_tells_it(tmp_path, text, word):
    with pytest.raises(WrongUse, match=f"toy.v1.md.*{word}"):
        toy(tmp_path, text).render({"a": "heat"}, FILMS)


def test_two_domains_and_two_models_do_not_mix(tmp_path):
    prompt = toy(tmp_path, "This {{ domain.noun }}: {{ a }}")

    said = [
        prompt.render({"a": "[X]"}, *of)[0]["content"] for of in ((FILMS,), (load_domain("books"),), (FILMS, ["[X]"]))
    ]

    assert said == ["This movie: [X]", "This book: [X]", "This movie: [ X]"]


@given(
    text=texts,
    special=st.lists(st.sampled_from(["<|im_end|>", "[X]", "<", "ab", "a"])),
    own=st.sampled_from(["", "<s>", "[X]"]),
)
@example(text="[INST]", special=[], own="")
@example(text="[X]", special=["[X]"], own="")
def test_tokens_are_broken_one_after_the_other(text, special, own):
    wanted = text if FAMILIES.search(own) else FAMILIES.sub(lambda found: found[0] + " ", text)
    for token in special:
        if token in wanted and token not in own:
            wanted = wanted.replace(token, f"{token[0]} {token[1:]}")

    assert broken(text, special, own) == wanted
