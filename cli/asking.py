"""Shared by `refresh`, `retry` and `rewrites`: options that limit a run or change the engine, and the final report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from app.asking import Asking
from base.words import count_rows
from cli.output import bars, print_json, print_table, say, say_next
from engines.ray.config import ExecutorName
from feature_store.releases import Release
from flows.here import refresh_here
from llm_tasks.pipeline.slices import Order

EngineName = Annotated[str | None, Parameter(help="Engine to use instead of knowflow.yaml's: recorded, vllm, openai.")]
ModelName = Annotated[
    str | None, Parameter(help="Model to use instead of knowflow.yaml's: a folder, or a name the engine knows.")
]
BaseUrls = Annotated[
    list[str] | None,
    Parameter(
        negative="",
        help="Server that the engine openai asks instead of knowflow.yaml's, such as http://gpu1:8000/v1; repeatable: "
        "the faster a server answers, the more rows it gets.",
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class AskingOptions:
    """Options of a command that asks a model."""

    engine: EngineName = None
    model: ModelName = None
    base_url: BaseUrls = None
    executor: Annotated[
        ExecutorName | None, Parameter(help="Where models run instead of knowflow.yaml's: here, or on a Ray cluster.")
    ] = None
    max_tokens: Annotated[int | None, Parameter(help="Stop after this many tokens, input and output together.")] = None
    max_cost: Annotated[
        float | None, Parameter(help="Stop after spending this much, by `prices` in knowflow.yaml.")
    ] = None
    max_hours: Annotated[float | None, Parameter(help="Stop asking after this many hours.")] = None

    slice: Annotated[str | None, Parameter(help="Ask about this part of the users and items alone, such as 1/10.")] = (
        None
    )
    order: Annotated[Order | None, Parameter(help="Which subjects are in the first slices.")] = None

    def asking(self, retry: tuple[str, ...] = ()) -> Asking:
        """Return the options as a parameter of the refresh flow; a model path is relative to the current folder."""
        return Asking(
            retry=retry,
            engine=self.engine,
            model=model_path(self.model),
            base_url=tuple(self.base_url or ()),
            executor=self.executor,
            max_tokens=self.max_tokens,
            max_cost=self.max_cost,
            max_hours=self.max_hours,
            slice=self.slice,
            order=self.order,
        )


def model_path(model: str | None) -> str | None:
    """Return the absolute path of an existing folder, and any other name unchanged."""
    return str(Path(model).resolve()) if model and Path(model).is_dir() else model


def run_refresh(config: str, tasks: list[str] | None, asking: Asking, *, json: bool, new_store: bool = False) -> int:
    """Run the refresh flow, print what it did, and return the exit code."""
    with bars():
        release, fresh = refresh_here(config, tasks, asking, new_store=new_store)
    name = release.name
    if json:
        print_json(
            {"release": name, "new": fresh, "pinned": release.pinned, "tasks": release.facts["asked"] if fresh else []}
        )
        return 0
    if release.pinned:
        say(f"{name} is pinned: the tables were filled, nothing was published")
        say(f"to publish again: knowflow release unpin {name}, then knowflow refresh")
        return 0
    if not fresh:
        say(f"nothing is new, 0 asked, 0 encoded: {name} stays the current release")
        return 0
    print_release(release)
    say_next("train", config)
    return 0


def print_release(release: Release) -> None:
    """Print what was asked for a release, one line per technique."""
    asked = release.facts["asked"]
    print_table(
        f"released {release.name}",
        ["task", "rows", "cached", "calls", "answered", "without text", "tokens in", "from cache", "tokens out"],
        [
            [
                a["task"],
                a["rows"],
                a["cached"],
                a["calls"],
                a["answered"],
                sum(a["errors"].values()),
                a["input_tokens"],
                a["cached_tokens"],
                a["output_tokens"],
            ]
            for a in asked
        ],
    )
    for one in asked:
        for kind, count in one["errors"].items():
            say(f"  {one['task']}: {count_rows(count)} without text: {kind}")
        if one["withdrawn"]:
            say(f"  {one['task']}: {count_rows(one['withdrawn'])} withdrawn: the data no longer supports them")
        if one["cut_off"]:
            say(f"  {one['task']}: {one['cut_off']:,} answers were cut off at the prompt's max_tokens")
        if one["shortened"]:
            say(f"  {one['task']}: {count_rows(one['shortened'])} shortened to fit the model's context")
    for gate in release.facts["gates"]:
        if not gate["holds"]:
            say(f"warning: {gate['name']}: {gate['found']}")
    cost = sum(one["cost"] for one in asked)
    if cost:
        say(f"cost {cost:,.2f} {asked[0]['currency']}")
