"""knowflow rewrite: shows what to search for instead of one query."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from app.asking import with_engine
from app.config import Config, load_config
from app.workplace import chosen_tasks, open_store, open_workplace
from cli.asking import BaseUrls
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, printable, say
from feature_store.releases import get_release
from flows.secrets import read_secret
from retrieval.rewrites import Served, look_up
from sources.queries import check_query


def rewrite(
    query: Annotated[str, Parameter(help="The query, as a user would type it; in quotes when it contains spaces.")],
    *,
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    live: Annotated[
        bool, Parameter(negative="", help="Ask the engine now instead of reading the table; the answer is stored.")
    ] = False,
    engine: Annotated[str | None, Parameter(help="With --live: engine to use instead of knowflow.yaml's.")] = None,
    model: Annotated[str | None, Parameter(help="With --live: model to use instead of knowflow.yaml's.")] = None,
    base_url: BaseUrls = None,
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Show the rewrites of a query from the table that `knowflow rewrites` made, best first.

    A query without rewrites is returned as it is, with the reason.

    Example: knowflow rewrite "scifi w/ time travel" --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    check_query(query, settings.source.longest_query)
    if live:
        settings = with_engine(settings, engine, model, base_url)
        served = _ask(settings, query)
    else:
        store = open_store(settings)
        served = look_up(store, get_release(store, release), query)
    if json:
        print_json(asdict(served))
        return 0
    for one in served.rewrites:
        scores = f"  score {one.score:.3f}, relevance {one.relevance:.3f}" if one.score is not None else ""
        print_line(printable(one.text) + scores)
    say(_origin(served))
    if served.source == "fallback":
        say(f"  {_fix(settings, live=live)}")
    return 0


def _ask(settings: Config, query: str) -> Served:
    from app.rewriting import TASK, live_rewrites  # noqa: PLC0415 - the search takes a second to import

    chosen_tasks(settings, [TASK])
    return live_rewrites(settings, open_workplace(settings, read_secret), query)


def _origin(served: Served) -> str:
    """Say in one line where the rewrites come from."""
    if served.source == "fallback":
        return f"fallback to the query itself: {printable(served.why or '')}"
    where = f"release {served.release}" if served.source == "served" else "asked now, in the model's own order"
    return f"{served.source}: {where}, {served.prompt}, {printable(served.model or '')}"


def _fix(settings: Config, *, live: bool) -> str:
    """Say what to do about a query without rewrites."""
    if not live:
        return f"the table serves {' and '.join(settings.rewrites.serve)} queries of the data; to ask now: --live"
    if settings.engine.name == "recorded":
        return "the engine 'recorded' has answers to recorded queries only; choose another: --engine vllm"
    return "to ask again, run the same command"
