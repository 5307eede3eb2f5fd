"""examples/deploy: what its files name is there, and every command in them is a real one with real options."""

import itertools
import re
import shlex

import pytest
import yaml
from prefect.cli._app import _app as prefect
from prefect.utilities.importtools import import_object

from cli.main import build_app
from engines.openai.options import OpenAIOptions
from engines.protocol import EngineConfig
from flows.secrets import read_secret
from flows.setup import POOL
from knowflow_start import ROOMS
from tests.flows.test_deployments import DEPLOYMENTS, ROOT, check

FOLDER = ROOT / "examples" / "deploy"
README, DOCKERFILE = ((FOLDER / name).read_text() for name in ("README.md", "Dockerfile"))
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
DEPLOYED = {one["name"]: one for one in yaml.safe_load((FOLDER / "prefect.yaml").read_text())["deployments"]}
LINES = [line for line in DOCKERFILE.replace("\\\n", "").splitlines() if line[:1] != "#"]
SETUP = SERVICES["setup"]["command"][-1]
CALLED = [
    *(words for one in SERVICES.values() if (words := one["command"])[0] == "prefect"),
    *(yaml.safe_load(line.removeprefix("CMD ")) for line in LINES if line.startswith("CMD ")),
    *(shlex.split(line) for line in SETUP.splitlines()),
    *(shlex.split(found) for found in re.findall(r"^docker .* ((?:prefect|knowflow) [^#\n]*)", README, re.MULTILINE)),
]


@pytest.mark.parametrize("words", CALLED, ids=" ".join)
def test_a_command_is_a_real_one_with_real_options(words):
    app = {"prefect": prefect, "knowflow": build_app()}[words[0]]
    rest = [word for word in words[1:] if word != "--no-prompt"]  # of all of prefect's commands

    _, bound, *_ = app.parse_args(rest, exit_on_error=False, print_error=False)

    assert bound is not None
    assert all((ROOT / word).is_file() for word in rest if word.startswith("examples/"))


def test_deployments_are_those_of_the_root_in_pools_that_are_made_and_have_a_worker():
    made = {POOL, *re.findall(r"work-pool create (\S+)", SETUP)}
    working = {name: SERVICES[name]["command"][4] for name in ("worker", "worker-gpu")}

    for name, one in DEPLOYED.items():
        check(one)
        assert import_object(str(ROOT / one["entrypoint"])).name == name
        for key in ("entrypoint", "tags", "concurrency_limit", "schedules"):
            assert one.get(key) == DEPLOYMENTS[name].get(key)
        assert one["work_pool"]["job_variables"] == DEPLOYMENTS[name]["work_pool"]["job_variables"]
    assert made == set(working.values()) == {one["work_pool"]["name"] for one in DEPLOYED.values()}
    for name, target in (("worker", "cpu"), ("worker-gpu", "gpu")):
        assert SERVICES[name]["build"]["target"] == SERVICES[name]["image"].removeprefix("knowflow:") == target
        last = DOCKERFILE.split(f" AS {target}\n")[1].split("FROM ")[0]
        assert re.findall(r"^USER (\w+)", last, re.MULTILINE) == ["10001"]
        assert f'"{working[name]}"' in last


def test_images_get_our_rooms_and_only_packages_whose_hashes_are_locked():
    shown = {line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    installs = [part for line in LINES for part in line.split("&&") if "pip install" in part]

    assert set(ROOMS) <= shown
    assert all(list(ROOT.glob(name)) for name in shown)
    for install in installs:
        locks = re.findall(r"--requirement (\S+)", install)
        assert "--editable ." in install or ("--require-hashes" in install and locks)
        for lock in locks:
            (text,) = [folder.joinpath(lock).read_text() for folder in (ROOT, FOLDER) if (folder / lock).is_file()]
            assert len(re.findall(r"^[a-z].*==", text, re.M)) == len(re.findall(r"== ?\S+ \\\n +--hash=sha256:", text))


def test_the_engine_of_the_page_asks_the_model_server_as_compose_starts_it():
    (shown,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    engine = EngineConfig.model_validate(yaml.safe_load(shown)["engine"])
    options, words = OpenAIOptions.model_validate(engine.options), SERVICES["model"]["command"]
    given = dict(itertools.pairwise(words))

    assert (given["--served-model-name"], given["--max-model-len"]) == (engine.model, str(options.context_tokens))
    assert [server.url for server in options.urls] == ["http://model:8000/v1"]  # the name of the service, vLLM's port
    assert options.api_key_env in SERVICES["worker"]["environment"]
    assert f'vllm=={SERVICES["model"]["image"].split(":v")[1]}"' in (ROOT / "pyproject.toml").read_text()


def test_the_secret_that_the_page_stores_is_what_a_flow_reads(prefect_server, monkeypatch):
    monkeypatch.setenv("MODEL_KEY", "sk-from-the-environment")

    exec(shlex.split(re.findall(r"^docker .* python (-c .*)$", README, re.MULTILINE)[0])[1])

    assert read_secret("model-key") == "sk-from-the-environment"
