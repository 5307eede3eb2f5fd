"""knowflow capacity: computes from measured costs what a number of users takes."""

from dataclasses import asdict, replace
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from app.capacity import GIB, MODELS, Asking, Shop, Stage, capacity, read_measured
from base.faults import WrongUse
from cli.output import AsJson, print_json, print_table, say

POSITIVE = Number(gte=1)
NOT_NEGATIVE = Number(gte=0)


def capacity_command(
    *,
    users: Annotated[int, Parameter(help="Number of users.", validator=POSITIVE)],
    items: Annotated[
        int | None, Parameter(help="Number of items; default: one for every 20 users.", validator=NOT_NEGATIVE)
    ] = None,
    changed: Annotated[
        float, Parameter(help="Share of users and items asked about again each day.", validator=Number(gte=0, lte=1))
    ] = 0.05,
    model: Annotated[str, Parameter(help=f"How fast a model answers: {', '.join(MODELS)}.")] = "8b-h100",
    requests_per_second: Annotated[
        float | None, Parameter(help="Of one GPU, instead of the model's.", validator=NOT_NEGATIVE)
    ] = None,
    gpu_hour: Annotated[float, Parameter(help="Price of an hour of one GPU.", validator=NOT_NEGATIVE)] = 0.0,
    input_price: Annotated[float, Parameter(help="Price of a million tokens read.", validator=NOT_NEGATIVE)] = 0.0,
    output_price: Annotated[float, Parameter(help="Price of a million tokens written.", validator=NOT_NEGATIVE)] = 0.0,
    prompt_tokens: Annotated[int, Parameter(help="Tokens of a prompt.", validator=POSITIVE)] = 500,
    answer_tokens: Annotated[int, Parameter(help="Tokens of an answer.", validator=POSITIVE)] = 150,
    width: Annotated[int, Parameter(help="Numbers in a vector.", validator=POSITIVE)] = 384,
    memory: Annotated[float, Parameter(help="Memory of one machine in GiB.", validator=POSITIVE)] = 24.0,
    json: AsJson = False,
) -> int:
    """Compute what a number of users takes: tokens, GPU hours, money, CPU time, memory and disk.

    Costs of the stages were measured (docs/benchmarks.md, Growth); how fast a model answers is an assumption. No data
    and no knowflow.yaml are read: for the exact cost of your own next refresh see `knowflow plan`.

    Example: knowflow capacity --users 1000000 --gpu-hour 3
    """
    if model not in MODELS:
        raise WrongUse(f"--model: {model} is not known\n  give one of {', '.join(MODELS)}, or --requests-per-second")
    chosen = MODELS[model]
    if requests_per_second is not None:
        chosen = replace(chosen, requests_per_second=requests_per_second, why="given by --requests-per-second")
    shop = Shop(users, users // 20 if items is None else items, changed, prompt_tokens, answer_tokens, width)
    prices = {"gpu_hour": gpu_hour, "input": input_price, "output": output_price}
    found = capacity(shop, chosen.requests_per_second, prices, memory, read_measured())
    if json:
        plain = {name: asdict(value) if isinstance(value, Asking) else value for name, value in found.items()}
        stages = [asdict(one) for one in found["stages"]]
        print_json({"shop": asdict(shop), "model": asdict(chosen), **plain, "stages": stages})
        return 0
    _print(shop, found, chosen.why, chosen.requests_per_second, memory)
    return 0


def _print(shop: Shop, found: dict[str, Any], why: str, rate: float, memory: float) -> None:
    first, daily = found["first"], found["daily"]
    speed = f"rows / {rate:g} a second / 3,600" if rate else "paid by tokens"
    rows = [
        ["rows asked about", f"{first.rows:,.0f}", f"{daily.rows:,.0f}", "users + items; a day: x share changed"],
        ["tokens read", *_both(first.input_tokens, daily.input_tokens), f"rows x {shop.prompt_tokens:,}"],
        ["tokens written", *_both(first.output_tokens, daily.output_tokens), f"rows x {shop.answer_tokens:,}"],
        ["GPU hours (assumed)", f"{first.gpu_hours:,.1f}", f"{daily.gpu_hours:,.1f}", speed],
        ["GPUs busy all day", "", f"{found['gpus_busy']:,.2f}", "GPU hours a day / 24"],
        ["cost", f"{first.cost:,.2f}", f"{daily.cost:,.2f}", "GPU hours and tokens x their prices"],
    ]
    print_table(f"asking, {shop.users:,} users and {shop.items:,} items", ["", "first", "a day", "how"], rows)
    print_table(
        "stages on one core: measured costs with an engine that answers at once",
        ["stage", "CPU seconds", "peak GiB", "", "how"],
        [
            [one.name, f"{one.cpu_seconds:,.1f}", f"{one.peak_gib:,.1f}", _kind(one), one.formula]
            for one in found["stages"]
        ],
    )
    storage = found["storage"]
    kept = [[name, f"{size / GIB:,.2f}"] for name, size in [*storage.items(), ("together", sum(storage.values()))]]
    print_table("disk, for one encoder and one version", ["", "GiB"], kept)
    say(f"assumed, not measured here: {why}")
    for one in found["over"]:
        say(f"more than one machine of {memory:g} GiB: {one}; give it more memory, or ask in slices: --slice 1/10")


def _both(first: float, daily: float) -> tuple[str, str]:
    return f"{first:,.0f}", f"{daily:,.0f}"


def _kind(stage: Stage) -> str:
    return "measured" if stage.measured else "extrapolated"
