"""knowflow rewrites: brings the served table of rewritten queries up to date."""

from app.before_paying import check_before_paying
from app.config import load_config
from app.workplace import open_store
from cli.asking import AskingOptions, print_release
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, say, say_next
from feature_store.releases import get_release, list_releases
from flows.server import prefect_server


def rewrites(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    options: AskingOptions = AskingOptions(),  # noqa: B008 - is frozen
    json: AsJson = False,
) -> int:
    """Ask for rewrites of new and changed queries, rank them by search, and serve them when all gates hold.

    After a kill or a limit, run the same command again: it continues where it stopped. In knowflow.yaml, `rewrites:`
    sets how rewrites are ranked and which queries are served, `gates.rewrites:` what must hold.

    Example: knowflow rewrites --config examples/movielens/knowflow.yaml
    """
    asking = options.asking()
    settings = asking.settings(load_config(config))
    from app.rewriting import TASK, check_rewrites  # noqa: PLC0415 - the search takes a second to import

    check_rewrites(settings)
    check_before_paying(settings, [TASK], asking)  # before any flow or store is touched
    releases = list_releases(open_store(settings))
    from flows.rewrites import rewrites as flow  # noqa: PLC0415 - takes seconds; wrong input is reported first

    with prefect_server(settings.home_folder), bars():
        name = flow(config=str(settings.path), asking=asking)
    release = get_release(open_store(settings), name)
    fresh = not releases or releases[-1].name != name
    made = release.facts["rewrites"]
    if json:
        print_json({"release": name, "new": fresh, "tasks": release.facts["asked"] if fresh else [], "rewrites": made})
        return 0
    if fresh:
        print_release(release)
    else:
        say(f"nothing is new, 0 asked: {name} stays the current release")
    say(f"serves {made['rewrites']:,} rewrites of {made['queries']:,} queries, mean relevance {made['relevance']:.3f}")
    say_next("rewrite QUERY", config)
    return 0
