"""What `knowflow doctor` asks of the Prefect server: deployments, worker, schedules, last runs, alarms, clocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import filters, sorting
from prefect.client.schemas.objects import FlowRun, WorkerStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from app.doctor import AHEAD, Finding
from flows.alarms import PREFIX, alarms, title
from flows.automations import TAG, end_dead_runs
from flows.server import own_server
from flows.setup import POOL

DEPLOY = "prefect --no-prompt deploy --all"
SET_UP = "knowflow ops setup --webhook URL, or --email ADDRESS"
WORKER = f"prefect worker start --pool {POOL} --limit 1"
LATE = timedelta(minutes=10)
"""How long after its time a run may wait."""


@dataclass(frozen=True)
class Seen:
    """What the server has of ours."""

    deployments: list[DeploymentResponse]
    """Deployments with our tag."""
    upcoming: list[FlowRun]
    """Runs that are scheduled, the next one first."""
    ended: dict[str, FlowRun]
    """Deployment -> its newest run that has ended."""


def examine_server(now: datetime) -> Iterator[Finding]:
    """Yield all findings about scheduled runs.

    Raises:
        WrongUse: There is no server, or what answers is none.
    """
    url = own_server()
    yield check_clock(url, now)
    with get_client(sync_client=True) as client:
        seen = look(client)
        yield check_deployments(seen)
        yield check_worker(client)
        yield check_schedules(seen, now)
        yield check_last_runs(seen)
        yield check_alarms({one.name for one in client.read_automations() if one.enabled})


def look(client: SyncPrefectClient) -> Seen:
    """Read our deployments and their runs."""
    tagged = filters.DeploymentFilter(tags=filters.DeploymentFilterTags(all_=[TAG]))
    deployments = client.read_deployments(deployment_filter=tagged)
    upcoming = _runs(client, tagged, ["SCHEDULED"], sorting.FlowRunSort.EXPECTED_START_TIME_ASC, 200)
    ended: dict[str, FlowRun] = {}
    for one in deployments:
        this = filters.DeploymentFilter(id=filters.DeploymentFilterId(any_=[one.id]))
        ends = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]
        if runs := _runs(client, this, ends, sorting.FlowRunSort.END_TIME_DESC, 1):
            ended[one.name] = runs[0]
    return Seen(deployments, upcoming, ended)


def _runs(
    client: SyncPrefectClient, of: filters.DeploymentFilter, states: list, sort: sorting.FlowRunSort, limit: int
) -> list[FlowRun]:
    state = filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=states))
    wanted = filters.FlowRunFilter(state=state)
    return client.read_flow_runs(deployment_filter=of, flow_run_filter=wanted, sort=sort, limit=limit)


def check_clock(url: str, now: datetime) -> Finding:
    """Compare this machine's clock with the server's."""
    said = httpx.get(f"{url.rstrip('/')}/health", timeout=60).headers.get("date")
    if said is None:
        return Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC; {url} does not say its time")
    theirs = parsedate_to_datetime(said)
    apart = abs(datetime.now(UTC) - theirs)
    shown = f"{now:%Y-%m-%d %H:%M:%S} UTC; that of {url} is {theirs:%Y-%m-%d %H:%M:%S} UTC"
    return Finding("clock", "bad", shown, "timedatectl") if apart > AHEAD else Finding("clock", "ok", shown)


def check_deployments(seen: Seen) -> Finding:
    """Look for our deployments."""
    names = sorted(one.name for one in seen.deployments)
    if not names:
        return Finding("deployments", "bad", f"none has the tag {TAG}", DEPLOY)
    if paused := [one.name for one in seen.deployments if one.paused]:
        return Finding("deployments", "warn", f"paused: {', '.join(paused)}", f"prefect deployment resume {paused[0]}")
    return Finding("deployments", "ok", ", ".join(names))


def check_worker(client: SyncPrefectClient) -> Finding:
    """Look for the work pool, and for a worker that answers."""
    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        return Finding("worker", "bad", f"there is no work pool {POOL}", "knowflow ops setup")
    if pool.is_paused:
        return Finding("worker", "bad", f"the work pool {POOL} is paused", f"prefect work-pool resume {POOL}")
    workers = client.read_workers_for_work_pool(POOL)
    online = [one.name for one in workers if one.status == WorkerStatus.ONLINE]
    if not online:
        return Finding("worker", "bad", f"no worker of the pool {POOL} answers: no run starts", WORKER)
    return Finding("worker", "ok", ", ".join(online))


def check_schedules(seen: Seen, now: datetime) -> Finding:
    """Look for schedules that are on, the next run, and runs that are late."""
    active = sorted(one.name for one in seen.deployments if any(s.active for s in one.schedules) and not one.paused)
    names = {one.id: one.name for one in seen.deployments}
    due = [(run.expected_start_time, run.deployment_id) for run in seen.upcoming]
    times = [(time, names[of]) for time, of in due if time is not None and of is not None and of in names]
    if late := [f"{name} since {time:%Y-%m-%d %H:%M} UTC" for time, name in times if time < now - LATE]:
        return Finding("schedules", "bad", f"late: {', '.join(late[:5])}", f"prefect flow-run ls; then: {WORKER}")
    if not active:
        fix = f"write active: true in prefect.yaml, then: {DEPLOY}"
        return Finding("schedules", "warn", "none is switched on", fix)
    if not times:
        return Finding("schedules", "bad", f"{', '.join(active)} on, and no run is planned", "restart the server")
    time, name = times[0]
    return Finding("schedules", "ok", f"{', '.join(active)} on; next: {name} at {time:%Y-%m-%d %H:%M} UTC")


def check_last_runs(seen: Seen) -> Finding:
    """Look at how the newest run of each deployment ended."""
    shown, fix = [], ""
    for name, run in sorted(seen.ended.items()):
        state = run.state
        if state is None:
            continue
        shown.append(f"{name} {state.name} {state.timestamp:%Y-%m-%d %H:%M} UTC")
        if not state.is_completed():
            why = (state.message or "no reason").removeprefix(PREFIX).splitlines()[0]
            shown[-1] += f" ({why})"
            fix = fix or f"prefect flow-run inspect {run.id}; then: prefect deployment run {name}/{name}"
    if not shown:
        return Finding("last runs", "warn", "none has ended yet", "prefect deployment run nightly/nightly --watch")
    return Finding("last runs", "bad" if fix else "ok", "; ".join(shown), fix)


def check_alarms(there: set[str]) -> Finding:
    """Look for the automations that end dead runs and tell somebody.

    Args:
        there: Names of the automations that are switched on.
    """
    if missing := [one.name for one in end_dead_runs() if one.name not in there]:
        return Finding("alarms", "bad", f"missing or off: {', '.join(missing)}", "knowflow ops setup")
    told = [one.name for one in alarms() if title(one) in there]
    if not told:
        return Finding("alarms", "bad", "nobody is told when a run fails", SET_UP)
    if len(told) < len(alarms()):
        off = [one.name for one in alarms() if one.name not in told]
        return Finding("alarms", "warn", f"missing or off: {', '.join(off)}", "knowflow ops setup")
    return Finding("alarms", "ok", ", ".join(told))
