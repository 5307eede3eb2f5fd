"""What a user can get wrong about the vLLM engine, told in words with what to change; and what names a model."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engines.choose import build_engine, read_options
from engines.model_folder import SAMPLE, fingerprint
from engines.protocol import EngineConfig, EngineFault
from engines.vllm import VLLM
from prompts.domain import load_domain

ROOT = Path(__file__).resolve().parents[3]


def build(model, folder, **more):
    return build_engine(EngineConfig(name="vllm", model=str(model), **more), load_domain("generic"), folder)


def test_all_wrong_options_are_told_at_once_with_what_there_is():
    with pytest.raises(EngineFault) as fault:
        read_options(VLLM, {"in_flight": 0, "temperature": 1, "dtype": "int4"})

    told = str(fault.value)
    assert "engine.options.in_flight: Input should be greater than or equal to 1" in told
    assert "engine.options.dtype: Input should be 'auto', 'float32', 'bfloat16' or 'float16'" in told
    assert "engine.options.temperature: there is no such option" in told
    assert told.splitlines()[-1].startswith("  the vllm engine takes in_flight, max_model_len, dtype")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("gone", r"engine.model: there is no folder .*/gone\n  fix the path; it is relative to knowflow.yaml"),
        ("models/gone", r"there is no folder .*\n  fix the path, or, for a model from the hub, set engine.revision"),
        (
            "empty",
            r"empty holds no config.json and no weights \(\*.safetensors\) and no tokenizer\n  set it to the folder",
        ),
    ],
)
def test_a_model_that_is_not_there_is_told(model, told, tmp_path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(EngineFault, match=told):
        build(model, tmp_path)


def test_a_model_of_the_hub_is_named_by_its_id_and_revision(tmp_path):
    identity = build("somebody/model-1b", tmp_path, revision="abc123").identity

    assert (identity.model, identity.revision) == ("somebody/model-1b", "abc123")


def test_a_model_without_a_chat_template_is_told(make_checkpoint, tmp_path):
    folder = tmp_path / "base"
    shutil.copytree(make_checkpoint("tiny"), folder)
    (folder / "chat_template.jinja").unlink()

    with pytest.raises(EngineFault, match=r"has no chat template\n  use the instruct variant"):
        build("base", tmp_path).count_tokens([{"role": "user", "content": "hello"}])


def test_a_model_that_vllm_cannot_load_is_told(make_checkpoint, make_engine, request_of, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(make_checkpoint("tiny"), folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    engine = make_engine(folder)

    with pytest.raises(EngineFault, match=r"engine.model: vLLM cannot load .*broken: \w+: .*\n  if memory is short"):
        list(engine.generate([request_of(engine, "hello")]))


def test_the_same_files_are_the_same_model_wherever_they_lie_and_no_path_is_in_its_name(make_checkpoint, tmp_path):
    folder = make_checkpoint("tiny")
    shutil.copytree(folder, tmp_path / "elsewhere" / "tiny")

    here, there = build(folder, Path("/")), build("elsewhere/tiny", tmp_path)

    assert here.identity == there.identity
    assert here.identity.model == "tiny"
    assert len(here.identity.revision) == 16
    assert build(folder, Path("/"), revision="mine").identity.revision == "mine"


def test_a_fingerprint_changes_with_any_small_file_and_with_weights_but_not_with_what_nobody_reads(tmp_path):
    def write(name, content):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(content)
        return fingerprint(tmp_path)

    large = bytearray(4 * SAMPLE)
    seen = [
        write("config.json", b"{}"),
        write("tokenizer.json", bytes(large)),
        write("model.safetensors", bytes(large)),
    ]
    large[-1] = 1
    seen.append(write("model.safetensors", bytes(large)))
    large[SAMPLE + 5] = 1  # between the samples of weights, but a tokenizer counts whole
    seen.append(write("tokenizer.json", bytes(large)))
    last = write("chat_template.jinja", b"{{ messages }}")

    assert len({*seen, last}) == 6
    assert write("README.md", b"a card") == write(".cache/huggingface/download", b"x") == write(".gitattributes", b"y")
    assert fingerprint(tmp_path) == last


@pytest.fixture
def run(forks, plain_knowflow, tmp_path):
    """Run Python in a process of its own, which has nothing of vLLM."""

    def run(code: str, config: Path) -> tuple[str, str]:
        program = tmp_path / "program.py"
        program.write_text(code)
        return forks.start(program, config, environment=plain_knowflow.environment).communicate(timeout=300)

    return run


PLANNING = """
import sys
from pathlib import Path
from app.config import load_config
from app.workplace import plan
print(plan(load_config(sys.argv[1]), ["kar_item"])[0].summary()["input_tokens"])
print([name for name in ("vllm", "torch.distributed.distributed_c10d", "xgrammar") if name in sys.modules])
"""


def test_planning_counts_tokens_without_importing_vllm(vllm_shop, run):
    shop = vllm_shop()

    out, errors = run(PLANNING, shop.config)

    tokens, loaded = out.splitlines()
    assert (int(tokens), "vllm" in loaded) == (shop.plan("kar_item").summary()["input_tokens"], False), errors


MISSING = """
import sys
sys.modules["vllm"] = None  # as where it is not installed
from pathlib import Path
from app.config import load_config
from app.workplace import open_workplace
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.generate import generate
from llm_tasks.pipeline.plan import plan_task
from base.progress import silent
place = open_workplace(load_config(Path(sys.argv[1])))
with place.store.writer("a test") as writer:
    generate(plan_task(find_tasks()["kar_item"], place), place, writer, silent)
"""


def test_without_vllm_a_plan_is_made_and_asking_says_what_to_install(vllm_shop, run):
    _, errors = run(MISSING, vllm_shop().config)

    assert "EngineFault: engine.name: vLLM is not installed\n  pip install 'knowflow[vllm]'" in errors


ASKING = (
    MISSING.replace('sys.modules["vllm"] = None  # as where it is not installed', "")
    + """
import json, psutil, torch
print(json.dumps([[row.name() for row in psutil.Process().children(recursive=True)], torch.initial_seed()]))
"""
)


def test_asking_prints_nothing_leaves_no_process_and_ends_well(vllm_shop):
    command = [sys.executable, "-c", ASKING, str(vllm_shop(items=2).config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout)[0] == []
