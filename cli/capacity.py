"""knowflow capacity: computes from measured costs what a number of users takes."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from app.capacity import MODELS, Capacity, Model, Shop, capacity
from app.config import load_config
from app.stage_costs import EVENTS_A_USER, USERS_AN_ITEM, Stage, read_measured
from base.faults import WrongUse
from cli.output import AsJson, print_json, print_table, say
from llm_tasks.pipeline.budget import Prices

POSITIVE, NOT_NEGATIVE = Number(gte=1), Number(gte=0)
GB = 1e9


def capacity_command(
    *,
    users: Annotated[int, Parameter(help="Number of users.", validator=POSITIVE)],
    items: Annotated[
        int | None,
        Parameter(help=f"Number of items; default: one for every {USERS_AN_ITEM} users.", validator=NOT_NEGATIVE),
    ] = None,
    events_a_user: Annotated[float, Parameter(help="Events of a user.", validator=NOT_NEGATIVE)] = EVENTS_A_USER,
    changed: Annotated[
        float, Parameter(help="Share of users and items asked about again each day.", validator=Number(gte=0, lte=1))
    ] = 0.05,
    model: Annotated[str, Parameter(help=f"How fast a model answers: {', '.join(MODELS)}.")] = "8b-h100",
    requests_per_second: Annotated[
        float | None,
        Parameter(help="Of one GPU, with your own tokens, instead of the model's.", validator=Number(gt=0)),
    ] = None,
    gpu_hour: Annotated[float, Parameter(help="Price of an hour of one GPU.", validator=NOT_NEGATIVE)] = 0.0,
    input_price: Annotated[
        float | None, Parameter(help="Price of a million tokens read.", validator=NOT_NEGATIVE)
    ] = None,
    output_price: Annotated[
        float | None, Parameter(help="Price of a million tokens written.", validator=NOT_NEGATIVE)
    ] = None,
    prompt_tokens: Annotated[
        int | None, Parameter(help="Of a prompt; default: the model's.", validator=POSITIVE)
    ] = None,
    answer_tokens: Annotated[
        int | None, Parameter(help="Of an answer; default: the model's.", validator=POSITIVE)
    ] = None,
    width: Annotated[int, Parameter(help="Numbers in a vector.", validator=POSITIVE)] = 384,
    memory: Annotated[float, Parameter(help="Memory of one machine in GiB.", validator=POSITIVE)] = 64.0,
    config: Annotated[
        str | None, Parameter(name=["--config", "-c"], help="A knowflow.yaml to take `prices` from.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Compute what a number of users takes: tokens, GPU hours, money, CPU time, memory and disk.

    Costs of the stages were measured (docs/benchmarks.md, Growth); how fast a model answers is an assumption. No data
    is read: for the exact cost of your own next refresh see `knowflow plan`.

    Example: knowflow capacity --users 1000000 --gpu-hour 3
    """
    if model not in MODELS:
        raise WrongUse(f"--model: {model} is not known\n  give one of {', '.join(MODELS)}, or --requests-per-second")
    chosen = MODELS[model]
    prompt, answer = prompt_tokens or chosen.prompt_tokens, answer_tokens or chosen.answer_tokens
    if rate := requests_per_second:
        chosen = Model(rate, rate, prompt, answer, "given by --requests-per-second")
    prices = load_config(config).prices if config else Prices()
    given = {"input_per_million": input_price, "output_per_million": output_price}
    prices = prices.model_copy(update={name: price for name, price in given.items() if price is not None})
    if chosen.slowest == 0 and not (prices.input_per_million or prices.output_per_million):
        raise WrongUse(
            f"--model {model}: nothing has a price\n  give --input-price and --output-price, or --config FILE"
        )
    shop = Shop(
        users, users // USERS_AN_ITEM if items is None else items, events_a_user, changed, prompt, answer, width
    )
    found = capacity(shop, chosen, prices, gpu_hour, memory, read_measured())
    if json:
        print_json(asdict(found) | {"currency": prices.currency})
    else:
        _print(found, prices, gpu_hour)
    return 0


def _print(found: Capacity, prices: Prices, gpu_hour: float) -> None:
    """Print tables of asking, stages and disk, and what exceeds a machine."""
    shop, measured = found.shop, read_measured()
    print_table(
        f"asking: {shop.users:,} users, {shop.items:,} items, {shop.changed:.1%} of them changed a day",
        ["", "how", "is", "first", "a day"],
        [list(row) for row in _asking_rows(found, prices, gpu_hour, measured["request_cpu_seconds"])],
        text_columns=3,
    )
    print_table(
        "our own work, on one core, with an engine that answers at once and lexical vectors",
        ["stage", "how", "is", "CPU hours", "peak GiB"],
        [[one.name, one.formula, _kind(one), _hours(one.cpu_seconds), f"{one.peak_gib:,.1f}"] for one in found.stages]
        + [
            ["first refresh", "load to publish", "", _hours(found.first_cpu_seconds), ""],
            ["refresh a day", "between refresh_1% and the first", "", _hours(found.daily_cpu_seconds), ""],
        ],
        text_columns=3,
    )
    print_table("disk, one encoder", ["", "how", "is", "GB"], [list(row) for row in _disk_rows(found)], text_columns=3)
    if found.model.why:
        say(f"assumed, not measured here: {found.model.why}")
    if not all(one.measured for one in found.stages):
        say("extrapolated: from the size that the formula names; CPU time grows at least as the users do")
    for one in found.over:
        say(f"more than one machine: {one}")


def _asking_rows(found: Capacity, prices: Prices, gpu_hour: float, request: float) -> Iterator[tuple[str, ...]]:
    shop, model, both = found.shop, found.model, (found.first, found.daily)
    yield "rows", "users + items; a day: x share changed", "given", *(f"{one.rows:,.0f}" for one in both)
    yield "tokens read", f"rows x {shop.prompt_tokens:,}", "given", *(f"{one.input_tokens:,.0f}" for one in both)
    yield "tokens written", f"rows x {shop.answer_tokens:,}", "given", *(f"{one.output_tokens:,.0f}" for one in both)
    if model.slowest:
        ratio = (shop.prompt_tokens + shop.answer_tokens) / (model.prompt_tokens + model.answer_tokens)
        longer = "" if ratio == 1 else f" x {ratio:.2f}, its share of tokens"
        words = f"rows / {model.slowest:g} a second{longer}"
        yield "GPU hours", words, "assumed", *(f"{one.gpu_hours:,.1f}" for one in both)
        if model.fastest > model.slowest:
            words = f"rows / {model.fastest:g} a second{longer}"
            yield "GPU hours, at best", words, "assumed", *(f"{one.gpu_hours_at_best:,.1f}" for one in both)
        yield "GPUs busy all day", "GPU hours / 24", "assumed", "", f"{found.gpus_busy:,.2f}"
    words = f"rows x {1e3 * request:.2f} ms"
    yield "CPU hours of the client", words, "measured", *(f"{one.client_cpu_hours:,.2f}" for one in both)
    if gpu_hour or prices.input_per_million or prices.output_per_million:
        words = f"GPU hours x {gpu_hour:g}" if gpu_hour else ""
        if prices.input_per_million or prices.output_per_million:
            words += " + " * bool(words)
            words += f"million tokens x {prices.input_per_million:g} and {prices.output_per_million:g}"
        yield f"cost, {prices.currency}", words, "given", *(f"{one.cost:,.2f}" for one in both)


def _disk_rows(found: Capacity) -> Iterator[tuple[str, ...]]:
    size = {name: f"{count / GB:,.1f}" for name, count in found.storage.items()}
    rows, width = found.shop.rows, found.shop.width
    yield "answers, lineage", f"rows x {found.storage['answers'] / rows:,.0f}", "measured + 4 a token", size["answers"]
    yield "vectors", f"rows x {width:,} x 2", "float16, as stored", size["vectors_float16"]
    yield "files on disk", "both x what releases hold", "measured", size["on_disk"]
    yield "vectors as float32", f"rows x {width:,} x 4", "when exported", size["vectors_float32"]


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.3f}"


def _kind(stage: Stage) -> str:
    return "measured" if stage.measured else "extrapolated"
