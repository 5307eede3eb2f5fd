"""LoRA adapters in vLLM: each row is answered by its own, as peft answers, and the model as it is stays as it was."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch

from engines.protocol import EngineFault
from engines.request import Adapter
from engines.vllm.load import check_adapter
from llm_tasks.pipeline.workplace import read_adapter

RANK, SAYINGS = 8, [f"what of thing {number}?" for number in range(12)]


@pytest.fixture(scope="module")
def adapters(tiny, tmp_path_factory) -> list[Adapter]:
    """Three adapters of random numbers on every linear layer, as peft saves them."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    made = []
    for seed in range(3):
        folder = tmp_path_factory.mktemp("adapters") / f"style{seed}"
        torch.manual_seed(seed)
        config = LoraConfig(r=RANK, lora_alpha=16, target_modules="all-linear", init_lora_weights=False)
        get_peft_model(LlamaForCausalLM.from_pretrained(tiny), config).save_pretrained(str(folder))
        made.append(read_adapter("kar_item", f"style{seed}", "", folder, "none"))
    return made


@cache
def loaded(folder: Path, adapter: str | None):
    """The model of transformers, with peft's adapter in a folder that never changes."""
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder).eval()
    return PeftModel.from_pretrained(model, adapter).eval() if adapter else model


def by_peft(folder: Path, adapter: Adapter | None, tokens, messages, length=12) -> str:
    """The greedy answer of transformers, with peft's adapter."""
    ids = torch.tensor([tokens.ids(messages)])
    with torch.inference_mode():
        made = loaded(folder, adapter.path if adapter else None).generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=length, do_sample=False, pad_token_id=1
        )
    return whole(tokens.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True))


def whole(text: str) -> str:
    """A text without the begin of a character that was cut off at its end: vLLM leaves it out, transformers shows it."""
    return text.rstrip("\ufffd")


def test_every_row_is_answered_by_its_own_adapter_as_peft_answers_and_rows_without_one_by_the_model(
    tiny, adapters, make_engine, request_of, answers_of
):
    engine = make_engine(tiny, max_loras=3)
    mixed = [request_of(engine, saying, adapter=adapter) for saying in SAYINGS for adapter in (None, *adapters)]

    answers = answers_of(engine, mixed)

    wanted = [by_peft(tiny, request.adapter, engine._tokens, request.messages) for request in mixed]
    assert [whole(answer.text) for answer in answers] == wanted
    assert len({request.key for request in mixed}) == len(mixed)
    assert len({answer.text for answer in answers[:4]}) == 4  # one saying, four different answers
    plain = make_engine(tiny)
    alone = answers_of(plain, [request_of(plain, saying) for saying in SAYINGS])
    assert [answer.text for answer in answers[::4]] == [answer.text for answer in alone]


def test_an_adapter_that_changes_keeps_its_path_and_gets_answers_of_its_own(
    tiny, adapters, make_engine, request_of, answers_of, tmp_path
):
    import shutil

    folder = tmp_path / "style"
    shutil.copytree(adapters[0].path, folder)
    before = Adapter("style", "1", str(folder))
    engine = make_engine(tiny, max_loras=3)
    saying = "Long enough for the prefix cache. " * 20  # where an adapter of the same name must not be found
    old = answers_of(engine, [request_of(engine, saying, adapter=before)])[0]
    shutil.copytree(adapters[1].path, folder, dirs_exist_ok=True)
    after = Adapter("style", "2", str(folder))

    new = answers_of(engine, [request_of(engine, saying, adapter=after)])[0]
    again = answers_of(engine, [request_of(engine, saying, adapter=after)])[0]

    messages = [{"role": "user", "content": saying}]
    assert (new.cached_tokens, again.text) == (0, new.text)
    assert again.cached_tokens > 0
    assert new.key != old.key
    assert whole(new.text) == by_peft(tiny, adapters[1], engine._tokens, messages) != whole(old.text)


def test_one_adapter_more_than_there_is_room_for_is_refused_in_one_run_and_answered_in_the_next(
    tiny, adapters, make_engine, request_of, answers_of
):
    engine = make_engine(tiny, max_loras=1)
    first, second = (request_of(engine, SAYINGS[0], adapter=adapter) for adapter in adapters[:2])

    with pytest.raises(EngineFault, match=r"adapter style1: one run supports 1 adapters.*\n  set engine.opt"):
        answers_of(engine, [first, second])

    found = [whole(answers_of(engine, [request])[0].text) for request in (first, second, first)]
    wanted = [by_peft(tiny, adapter, engine._tokens, first.messages) for adapter in adapters[:2]]
    assert found == [*wanted, wanted[0]]


def test_a_task_with_an_adapter_is_planned_asked_and_kept_apart_from_the_model_alone(vllm_shop, tiny, adapters):
    from feature_store.answers import read_answers

    shop = vllm_shop(items=3)
    plain = shop.ask("kar_item")
    before = {row["row"]: row["answer_key"] for row in shop.lineage("kar_item").values()}
    adapter = {"name": "style", "path": adapters[0].path, "seen_until": "none"}
    shop.configure(tasks={"kar_item": {"adapter": adapter}})

    planned = shop.plan("kar_item").summary()
    done = shop.ask("kar_item")

    rows = shop.lineage("kar_item")
    stored = read_answers(shop.place().store, [row["answer_key"] for row in rows.values()])
    assert (plain.calls, planned["calls"], done.calls) == (3, 3, 3)
    assert planned["why"] == {"the model changed": 3}
    assert all(row["answer_key"] != before[key] for key, row in rows.items())
    assert set(stored["adapter"]) == {f"style@{adapters[0].revision}"}
    assert set(stored["model"]) == {"tiny"}


def test_an_adapter_of_another_model_is_told_before_anything_is_asked(tiny, make_engine, request_of, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    other = LlamaForCausalLM(
        LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=1)
    )
    config = LoraConfig(r=RANK, target_modules=["q_proj"], init_lora_weights=False)
    get_peft_model(other, config).save_pretrained(str(tmp_path / "foreign"))
    engine = make_engine(tiny)
    adapter = read_adapter("kar_item", "foreign", "1", tmp_path / "foreign", "none")

    with pytest.raises(EngineFault, match=r"adapter foreign .*\n  it was tuned on a model other than tiny"):
        engine.check(request_of(engine, "hello", adapter=adapter))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"r": 12}, r"its rank is 12, but at most 8 is supported: set engine.options.max_lora_rank: 16"),
        ({"use_dora": True}, "it was tuned as DoRA"),
        ({"modules_to_save": ["lm_head"]}, "it holds whole modules"),
        ({"peft_type": "IA3"}, "it is IA3, but vLLM serves only LoRA"),
        ({"r": 12, "use_dora": True}, r"its rank is 12.*\n.*DoRA"),
    ],
)
def test_an_adapter_that_vllm_cannot_serve_is_told_from_its_config(change, told, tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 8, "peft_type": "LORA"} | change))

    with pytest.raises(EngineFault, match=told):
        check_adapter(Adapter("style", "1", str(tmp_path)), tmp_path / "no model", most=8)
