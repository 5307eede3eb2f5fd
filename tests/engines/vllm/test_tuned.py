"""From events to answers: a tiny model is really tuned, and vLLM really answers with its adapter, as peft does."""

from pathlib import Path

import pytest
import torch

from base.progress import silent
from llm_tasks.pipeline.workplace import read_adapter
from prompts.domain import load_domain

SAYINGS = [f"what of thing {number}?" for number in range(4)]


@pytest.fixture(scope="module")
def instructions() -> list[tuple[dict[str, str], ...]]:
    """Sums of our own, free of rights (CC0)."""
    return [
        ({"role": "user", "content": f"{one} + {two} ="}, {"role": "assistant", "content": f"{one + two}"})
        for one in range(6)
        for two in range(6)
    ]


@pytest.fixture
def tuned(tiny, make_shop, instructions, tmp_path):
    """An adapter tuned on a shop's events and sums, and the prompts of rows that it has not learnt."""
    import json

    from tuning.base import find_base
    from tuning.config import TuningConfig
    from tuning.mixture import mix
    from tuning.supervised import tune

    file = tmp_path / "sums.jsonl"
    file.write_text("".join(json.dumps({"messages": list(said)}) + "\n" for said in instructions))
    dataset = make_shop(items=97, users=20, events=10).place().dataset
    config = TuningConfig(learning_rate=1e-2, row_tokens=512, batch_rows=2, epochs=16, rank=8, alpha=16, held_out=4)
    mixture = mix(dataset, load_domain("generic"), config, file)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    tune(find_base(tiny, {}), mixture, config, tmp_path / "recgen", silent)
    torch.set_num_threads(before)
    return read_adapter("kar_item", "recgen", "", tmp_path / "recgen"), [row[:-1] for row in mixture.held_out]


def by_transformers(folder: Path, adapter: Path | None, prompts: list[list[int]], length: int) -> list[list[int]]:
    """Greedy answers of transformers, with peft's adapter, as tokens."""
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder)
    model = PeftModel.from_pretrained(model, str(adapter)).eval() if adapter else model.eval()
    found = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        with torch.inference_mode():
            made = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=length,
                do_sample=False,
                pad_token_id=1,
            )
        found.append(made[0, len(prompt) :].tolist())
    return found


@pytest.mark.slow(reason="a model is tuned, and vLLM is loaded with the adapter")
def test_answers_with_a_tuned_adapter_are_peft_s_and_not_the_model_s(tiny, tuned, make_engine, request_of, answers_of):
    adapter, rows = tuned
    engine = make_engine(tiny, max_loras=1)
    said = [*[list(map(dict, row)) for row in rows], *SAYINGS]
    asked = [request_of(engine, one, adapter=adapter) for one in said]
    plainly = [request_of(engine, one) for one in said]

    answers, plain = answers_of(engine, asked), answers_of(engine, plainly)

    prompts = [engine._tokens.ids(request.messages) for request in asked]

    def shown(made):
        return [engine._tokens.tokenizer.decode(ids, skip_special_tokens=True).rstrip("\ufffd") for ids in made]

    assert [answer.text.rstrip("\ufffd") for answer in answers] == shown(
        by_transformers(tiny, Path(adapter.path), prompts, 12)
    )
    assert [answer.text.rstrip("\ufffd") for answer in plain] == shown(by_transformers(tiny, None, prompts, 12))
    assert all(one.text != other.text for one, other in zip(answers, plain, strict=True))
    assert not {request.key for request in asked} & {request.key for request in plainly}
    # It has learnt the form of the answers, and to stop: rows it never saw are answered in one word.
    assert {answer.text.strip() for answer in answers[: len(rows)]} <= {"yes", "no"}
    assert all(answer.output_tokens < 12 for answer in answers[: len(rows)])


@pytest.mark.slow(reason="a model is tuned, and vLLM is loaded with the adapter")
def test_a_task_with_a_tuned_adapter_keeps_its_answers_apart_by_the_revision_of_the_tuning(vllm_shop, tiny, tuned):
    from feature_store.answers import read_answers

    adapter, _ = tuned
    shop = vllm_shop(name="asking", items=3)
    shop.configure(tasks={"kar_item": {"adapter": {"name": "recgen", "path": adapter.path}}})

    done = shop.ask("kar_item")

    stored = read_answers(shop.place().store, [row["answer_key"] for row in shop.lineage("kar_item").values()])
    assert done.calls == 3
    assert set(stored["adapter"]) == {f"recgen@{adapter.revision}"}
