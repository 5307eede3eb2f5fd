"""Tuning a tiny model: it learns, the same seed gives the same weights, and it goes on where it stopped."""

import json
from datetime import UTC, datetime

import pytest
import torch

from base.faults import WrongUse
from base.progress import silent
from engines.model_folder import fingerprint
from engines.protocol import EngineConfig
from engines.seen import learnt_until
from engines.vllm.load import check_adapter
from engines.vllm.options import find_model
from llm_tasks.pipeline.workplace import read_adapter
from tuning.base import load_weights, merge
from tuning.config import TuningConfig
from tuning.losses import completion_loss
from tuning.packing import collate
from tuning.supervised import tune
from tuning.tokens import tokenise

NEWEST = datetime(2024, 1, 5, 12, tzinfo=UTC)
EVENTS = {"recommendation": {"newest_event": str(NEWEST)}}
CONFIG = TuningConfig(learning_rate=5e-3, row_tokens=128, batch_rows=4, epochs=4, save_every=2, held_out=0)


def weights_of(folder) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(
        folder / ("model.safetensors" if (folder / "config.json").is_file() else "adapter_model.safetensors")
    )


def farthest(one, other) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def loss_of(model, base, conversations) -> float:
    batch = collate([[tokenise(base.tokens, said, base.ends)] for said in conversations], base.pad)
    labels = batch.pop("labels")
    with torch.inference_mode():
        return float(completion_loss(model.eval()(**batch, use_cache=False).logits, labels, len(conversations)))


@pytest.fixture(scope="module")
def tuned(base, sums, mixture_of, tmp_path_factory):
    """An adapter tuned on the sums, as if some of them were events until NEWEST."""
    out = tmp_path_factory.mktemp("tuned") / "sums"
    return out, tune(base, mixture_of(sums).with_facts(EVENTS), CONFIG, out, silent)


def with_adapter(base, folder):
    from peft import PeftModel

    return PeftModel.from_pretrained(load_weights(base.folder), str(folder))


def test_what_is_learnt_becomes_likelier_and_the_model_itself_is_left_alone(base, sums, tuned):
    before = fingerprint(base.folder)

    plain, learnt = load_weights(base.folder), with_adapter(base, tuned[0])

    assert loss_of(learnt, base, sums) < 0.7 * loss_of(plain, base, sums)
    assert before == base.revision == tuned[1]["base"]["revision"]


def test_the_folder_is_an_adapter_that_vllm_serves_with_what_it_was_tuned_on_beside_it(base, tuned):
    out, result = tuned
    adapter = read_adapter("kar_item", "sums", "", out)

    check_adapter(adapter, base.folder, None)
    assert adapter.seen_until == NEWEST
    assert result["seen_until"] == NEWEST.isoformat()
    config = json.loads((out / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["base_model_name_or_path"]) == ("LORA", 16, "tiny")
    assert config["target_modules"] == sorted(config["target_modules"])
    assert json.loads((out / "knowflow_tuning.json").read_text()) == result
    assert not (out / ".tuning").exists()
    assert str(base.folder.parent) not in "".join(file.read_text() for file in out.glob("*.json"))
    assert result["learnt"]["examples"] == 40
    assert result["learnt"]["answer_tokens"] < result["learnt"]["tokens"] / 2
    assert result["held_out"] is None


def test_the_same_seed_gives_the_same_adapter_to_the_last_bit_and_another_seed_another(
    base, sums, mixture_of, tuned, tmp_path
):
    tune(base, mixture_of(sums).with_facts(EVENTS), CONFIG, tmp_path / "again", silent)
    tune(base, mixture_of(sums), CONFIG.model_copy(update={"seed": 1}), tmp_path / "other", silent)

    assert fingerprint(tmp_path / "again") == fingerprint(tuned[0])
    assert farthest(weights_of(tmp_path / "other"), weights_of(tuned[0])) > 1e-3


class Broken(Exception):
    """What ends a tuning in the middle."""


def broken_after(steps: int):
    def progress(what: str, done: int, total: int) -> None:
        if what == "tuning steps" and done == steps:
            raise Broken

    return progress


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_tuning_that_was_broken_off_ends_with_the_weights_of_an_undisturbed_one(
    base, sums, mixture_of, tmp_path, method
):
    config = CONFIG.model_copy(update={"method": method, "dropout": 0.1})  # dropout: chance, too, goes on as it was
    done = tune(base, mixture_of(sums), config, tmp_path / "whole", silent)
    with pytest.raises(Broken):
        tune(base, mixture_of(sums), config, tmp_path / "broken", broken_after(5))
    checkpoints = sorted(path.name for path in (tmp_path / "broken" / ".tuning").glob("checkpoint-*"))
    told = []

    tune(base, mixture_of(sums), config, tmp_path / "broken", lambda *step: told.append(step), resume=True)

    assert checkpoints == ["checkpoint-2", "checkpoint-4"]
    assert done["learnt"]["steps"] > 6
    assert told[0][1] == 5  # steps 1 to 4 are not done again
    assert farthest(weights_of(tmp_path / "whole"), weights_of(tmp_path / "broken")) == 0.0


def test_a_checkpoint_in_pieces_is_passed_over(base, sums, mixture_of, tuned, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Broken):
        tune(base, mixture_of(sums), CONFIG, out, broken_after(5))
    (out / ".tuning" / "checkpoint-4" / "trainer_state.json").unlink()  # it is written last
    told = []

    tune(base, mixture_of(sums), CONFIG, out, lambda *step: told.append(step), resume=True)

    assert told[0][1] == 3
    assert farthest(weights_of(out), weights_of(tuned[0])) == 0.0


def test_a_folder_that_holds_something_else_is_left_as_it_is(base, sums, mixture_of, tuned, tmp_path):
    out, other = tmp_path / "out", CONFIG.model_copy(update={"rank": 4})
    with pytest.raises(Broken):
        tune(base, mixture_of(sums), CONFIG, out, broken_after(3))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("mine")

    with pytest.raises(WrongUse, match="holds a tuning that was not finished\n  add --resume"):
        tune(base, mixture_of(sums), CONFIG, out, silent)
    with pytest.raises(WrongUse, match=r"but not this one: settings\.rank differ"):
        tune(base, mixture_of(sums), other, out, silent, resume=True)
    with pytest.raises(WrongUse, match=r"but not this one: data\.instructions\.digest, data\.instructions\.rows"):
        tune(base, mixture_of(sums[1:]), CONFIG, out, silent, resume=True)
    with pytest.raises(WrongUse, match="holds a tuned model\n  give another folder"):
        tune(base, mixture_of(sums), CONFIG, tuned[0], silent)
    with pytest.raises(WrongUse, match="is not empty"):
        tune(base, mixture_of(sums), CONFIG, tmp_path / "full", silent)
    assert (tmp_path / "full" / "a.txt").read_text() == "mine"


def test_a_finished_tuning_is_not_done_again(base, sums, mixture_of, tuned):
    told = []

    result = tune(base, mixture_of(sums), CONFIG, tuned[0], lambda *step: told.append(step), resume=True)

    assert (result, told) == (tuned[1], [])


def test_a_step_in_parts_is_a_step_in_one(base, sums, mixture_of, tmp_path):
    for at_once in (1, 4):
        config = CONFIG.model_copy(update={"rows_at_once": at_once, "epochs": 1})
        tune(base, mixture_of(sums), config, tmp_path / str(at_once), silent)

    moved = farthest(weights_of(tmp_path / "1"), weights_of(tmp_path / "4"))
    assert moved < 1e-5  # a step moves a weight by 5e-3


def test_a_model_can_be_tuned_whole_and_is_a_model_of_its_own(base, sums, mixture_of, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tune(base, mixture_of(sums), CONFIG.model_copy(update={"method": "full"}), tmp_path / "whole", silent)

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "whole")
    assert model.dtype == torch.float32
    assert model.config.use_cache
    assert loss_of(model, base, sums) < 0.5 * loss_of(load_weights(base.folder), base, sums)
    assert tokenizer.apply_chat_template(list(sums[3]), tokenize=False).endswith("3, of course<|end|>\n")


def test_a_merged_model_gives_the_logits_of_model_and_adapter(base, sums, tuned, tmp_path):
    merge(base, tuned[0], tmp_path / "merged")

    ids = torch.tensor([base.tokens.ids(sums[7][:1])])
    with torch.inference_mode():
        apart, merged, plain = (
            model.eval()(input_ids=ids).logits
            for model in (with_adapter(base, tuned[0]), load_weights(tmp_path / "merged"), load_weights(base.folder))
        )
    assert float((apart - merged).abs().max()) < 1e-4
    assert float((apart - plain).abs().max()) > 1.0
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    # Nothing but this file tells a merged model from one that was never tuned.
    config = EngineConfig(name="vllm", model="merged")
    assert find_model(config, tmp_path).seen_until == NEWEST
    assert find_model(EngineConfig(name="vllm", model=base.folder.name), base.folder.parent).seen_until is None
    # And what is tuned on top of it, on sums alone, still knows those events.
    assert learnt_until(tmp_path / "merged", {"instructions": {"rows": 40}}) == {"seen_until": NEWEST.isoformat()}


def test_without_packing_every_example_has_its_own_row_and_as_much_is_learnt(base, sums, mixture_of, tuned, tmp_path):
    result = tune(base, mixture_of(sums), CONFIG.model_copy(update={"pack": False}), tmp_path / "out", silent)

    packed = tuned[1]["learnt"]
    assert (result["learnt"]["rows"], packed["rows"] < 40) == (40, True)
    assert result["learnt"]["answer_tokens"] == packed["answer_tokens"]


def test_in_bfloat16_what_is_tuned_stays_float32_and_moves(base, sums, mixture_of, tmp_path):
    config = CONFIG.model_copy(update={"precision": "bfloat16", "learning_rate": 1e-5})

    tune(base, mixture_of(sums), config, tmp_path / "out", silent)

    weights = weights_of(tmp_path / "out")
    assert {values.dtype for values in weights.values()} == {torch.float32}
    assert all(float(values.abs().max()) > 0 for name, values in weights.items() if "lora_B" in name)  # began at 0


def test_rows_that_cannot_be_learnt_are_counted_and_told_when_none_is_left(base, sums, mixture_of, tmp_path):
    long = ({"role": "user", "content": "word " * 200}, {"role": "assistant", "content": "no"})

    result = tune(base, mixture_of([*sums, long, long]), CONFIG, tmp_path / "out", silent)

    assert result["learnt"]["left_out"] == {"instructions: longer than 128 tokens": 2}
    assert result["learnt"]["examples"] == 40
    with pytest.raises(WrongUse, match="no row can be learned\n  instructions: longer than 128 tokens: 2 rows"):
        tune(base, mixture_of([long, long]), CONFIG, tmp_path / "none", silent)
    assert not (tmp_path / "none").exists()


def test_a_folder_without_a_model_is_told(tmp_path):
    from tuning.base import find_base

    (tmp_path / "config.json").write_text("{}")

    with pytest.raises(WrongUse, match=r"holds no weights \(\*\.safetensors\) and no tokenizer"):
        find_base(tmp_path, {})


def test_a_rate_that_is_too_high_is_told_and_no_adapter_is_written(base, sums, mixture_of, tmp_path):
    config = CONFIG.model_copy(update={"method": "full", "learning_rate": 1e30, "warm_up": 0.0})

    with pytest.raises(WrongUse, match=r"the weights became infinite\n  lower --learning-rate, which is 1e\+30"):
        tune(base, mixture_of(sums), config, tmp_path / "out", silent)
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_on_several_gpus_it_is_told_how_to_name_one(base, sums, mixture_of, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)

    with pytest.raises(WrongUse, match="there are 4 GPUs, but tuning uses one\n  choose it: CUDA_VISIBLE_DEVICES=0"):
        tune(base, mixture_of(sums), CONFIG, tmp_path / "out", silent)
    assert not (tmp_path / "out").exists()
