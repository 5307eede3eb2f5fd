"""The recorded engine: it gives back what was recorded, word for word, and never anything else."""

import polars as pl
import pytest

from engines.choose import EngineFault, build_engine
from engines.protocol import EngineConfig
from engines.request import Request, answer_key
from prompts.domain import load_domain
from prompts.library import choose_prompt

FILMS = load_domain("films")


@pytest.fixture
def build(tmp_path):
    """An engine with one recorded item answer."""
    pl.DataFrame({"input": ["Heat (1995) [Crime]"], "answer": ["  A heist film.\n"]}).write_parquet(
        tmp_path / "items.parquet"
    )

    def make(files=None, **options):
        files = {"kar_item.v1": "items.parquet"} if files is None else files
        return build_engine(
            EngineConfig(name="recorded", model="m", options={"files": files, **options}), FILMS, tmp_path
        )

    return make


def request(engine, shown: str, **changes) -> Request:
    prompt = choose_prompt("kar_item", 1)
    messages = prompt.render({"input": shown}, FILMS)
    sampling = {**prompt.front.sampling, **changes}
    key = answer_key(messages, engine.identity, sampling, prompt.front.answer_schema)
    return Request(key, tuple(messages), sampling, prompt.front.answer_schema)


def test_a_recorded_answer_comes_back_exactly_as_it_was_given(build):
    engine = build()
    wanted = request(engine, "Heat (1995) [Crime]")

    (answer,) = engine.generate([wanted])

    assert (answer.key, answer.text, answer.error) == (wanted.key, "  A heist film.\n", None)
    assert answer.input_tokens == engine.count_tokens(wanted.messages) > 0
    assert answer.output_tokens == engine.count_tokens([{"content": "A heist film."}])


def test_what_is_not_recorded_becomes_an_error_that_says_so_and_never_an_invented_text(build):
    engine = build()
    others = [
        request(engine, "Heat (1995) [Crime] "),  # a blank more
        request(engine, "Fargo (1996) [Crime]"),
        request(engine, "Heat (1995) [Crime]", temperature=0.7),
    ]

    answers = list(engine.generate(others))

    assert [answer.text for answer in answers] == [None] * 3
    assert {answer.error for answer in answers} == {"not_recorded"}
    assert "no recorded answer was asked for with exactly this prompt" in answers[0].detail
    assert [answer.key for answer in answers] == [other.key for other in others]
    assert engine.unanswered([other.key for other in others]) == 3
    assert engine.unanswered([request(engine, "Heat (1995) [Crime]").key, others[1].key]) == 1


def test_a_recording_without_a_text_is_no_answer(build, tmp_path):
    pl.DataFrame({"input": ["Heat"], "answer": [None]}, schema={"input": pl.String, "answer": pl.String}).write_parquet(
        tmp_path / "none.parquet"
    )
    engine = build({"kar_item.v1": "none.parquet"})

    (answer,) = engine.generate([request(engine, "Heat")])

    assert answer.error == "not_recorded"
    assert engine.unanswered([answer.key]) == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"kar_item.v1": "gone.parquet"}, r"no such file\n  kar_item\.v1: .*gone\.parquet"),
        ({"kar_item": "items.parquet"}, "'kar_item' is not a prompt with its version"),
        ({"kar_item.vX": "items.parquet"}, r"'kar_item\.vX' is not a prompt with its version"),
        (
            {"kar_item.v1": "other.parquet"},
            r"lacks input\n  the prompt kar_item\.v1 uses input; the file has text, answer",
        ),
        ({"kar_item.v1": "broken.parquet"}, r"broken\.parquet cannot be read as Parquet"),
    ],
)
def test_files_that_do_not_fit_are_told_when_the_engine_is_built(build, tmp_path, files, message):
    pl.DataFrame({"text": ["a"], "answer": ["b"]}).write_parquet(tmp_path / "other.parquet")
    (tmp_path / "broken.parquet").write_text("no parquet")

    with pytest.raises(EngineFault, match=message):
        build(files)


def test_an_option_nobody_knows_is_refused(build):
    with pytest.raises(
        EngineFault,
        match=r"options\.file: there is no such option; did you mean 'files'.*\n.*options\.speed.*\n  .* takes files",
    ):
        build(file="items.parquet", speed=3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vlm", "there is no engine 'vlm'\n  use openai, recorded, vllm, or package"),
        ("no_such_module:Engine", "cannot build 'no_such_module:Engine': No module named"),
        ("scripted:Nobody", "cannot build 'scripted:Nobody': .*Nobody"),
        ("os:system", "cannot build .os:system.: it is not a class with a method generate"),
        ("subprocess:Popen", "cannot build .subprocess:Popen.: it is not a class with a method generate"),
        ("engines.recorded:RecordedEngine", "must be importable and take config=, domain= and folder="),
    ],
)
def test_an_engine_that_cannot_be_built_says_why(tmp_path, name, message):
    with pytest.raises(EngineFault, match=message):
        build_engine(EngineConfig(name=name), FILMS, tmp_path)
