"""What a model wrote as a prompt: usable ones are read whatever surrounds them, all others are rejected with a reason."""

from pathlib import Path

import pytest

from prompts.prompt import FrontMatter, Prompt
from prompts.rewritten import NotAPrompt, RewriteReader, as_text

FRONT = FrontMatter.model_validate(
    {"task": "toy", "version": 1, "status": "live", "schema": {"type": "text"}, "sampling": {}}
)
SYSTEM = ("system", "You know every {{ domain.noun }}.")
ASK = ("user", "Describe it: {{ domain.item_factors | join(', ') }}.\n\n{{ input }}")


def reader(*parts):
    return RewriteReader(Prompt(Path("toy.v1.md"), FRONT, parts or (SYSTEM, ASK)))


def fenced(*parts):
    return f"I say what matters.\n```\n{as_text(parts)}\n```"


def why(answer, *first):
    with pytest.raises(NotAPrompt) as fault:
        reader(*first)(answer)
    return fault.value.kind, str(fault.value)


def test_a_prompt_in_a_fence_is_read_without_the_remarks_around_it():
    better = ("user", "Say what critics say of it, {{ domain.noun }} by {{ domain.noun }}.\n{{ input }}")

    assert reader()(fenced(SYSTEM, better) + "\nThat should do.") == (SYSTEM, better)
    assert reader()(as_text((SYSTEM, better))) == (SYSTEM, better)


def test_the_last_fence_counts_and_a_single_message_needs_no_heading():
    answer = "Before:\n```\n# user\n{{ input }}\n```\nAfter:\n```markdown\nBe brief. {{ input }}\n```"

    assert reader(ASK)(answer) == (("user", "Be brief. {{ input }}"),)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("I would leave it as it is.", "holds no prompt"),
        ("Be brief. {{ input }}", "holds no prompt"),
        (fenced(("user", "Describe it.")), "leaves out variables"),
        (fenced(("user", "{{ input }} {{ secret }}")), "uses unknown variables"),
        (fenced(("user", "{{ input }} {{ domain.secret }}")), "uses unknown variables"),
        (fenced(("user", "{{ input.__class__ }}")), "uses unknown variables"),
        (fenced(("user", "{{ input")), "does not parse"),
        (fenced(("user", "{{ input | nonsense }}")), "uses more of Jinja2 than the first prompt"),
        (fenced(("user", "{{ input | center(999999) }}")), "uses more of Jinja2 than the first prompt"),
        (fenced(("user", "{% for a in range(99999) %}x{% endfor %}{{ input }}")), "uses more of Jinja2 than"),
        (fenced(("user", "{{ input * 99999 }}")), "uses more of Jinja2 than the first prompt"),
        (fenced(("system", "Of {{ input }}"), ("user", "Go.")), "puts data into a system message"),
        (fenced(ASK, SYSTEM), "has its messages in another order"),
        (fenced(("user", "{{ input }}" + " very" * 900)), "is too long"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_a_reason(answer, kind):
    assert why(answer, ASK)[0].startswith(kind)


def test_a_rewrite_may_use_what_the_first_prompt_uses():
    first = ("user", "{% for one in input %}{{ loop.index }} {{ one | title }}{% endfor %}")
    again = ("user", "Rank them. {% for one in input %}{{ loop.index }}: {{ one | title }}{% endfor %}")

    assert reader(first)(fenced(again)) == (again,)


def test_the_reason_names_what_is_wrong():
    assert why(fenced(("user", "{{ secret }}")), ASK)[1] == "uses unknown variables: secret"
