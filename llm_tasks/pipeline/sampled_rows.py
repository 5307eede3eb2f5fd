"""The rows on which several versions of a prompt are tried: one sample, the same rows showing the same for all."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from base.faults import WrongUse
from feature_store.answers import known_answers
from feature_store.lineage import row_key
from llm_tasks.pipeline.fit import Renderer
from llm_tasks.pipeline.plan import NAME_AN_ENGINE, known_after_reads
from llm_tasks.pipeline.row_planner import known_from
from llm_tasks.pipeline.sample import draw, strata_of
from llm_tasks.pipeline.task import Row, Task
from llm_tasks.pipeline.workplace import Workplace
from prompts.prompt import Prompt


@dataclass(frozen=True)
class SampledRow:
    """One row of the sample."""

    key: str
    """Row key: task, entity and as_of."""
    stratum: str
    """The stratum that it was drawn from, in words."""
    row: Row = field(repr=False)
    """The row, shortened if it would not fit the model's context with one of the versions."""


@dataclass(frozen=True)
class Sample:
    """A sample of a technique's rows."""

    rows: tuple[SampledRow, ...]
    """The rows, in the order in which they were drawn: the first n are the sample of size n."""
    population: int
    """Number of all rows of the technique."""
    drawn_from: int
    """Number of rows that could be drawn: those for which every version has an answer, if the engine has only some."""
    strata: Mapping[str, int]
    """Stratum -> number of sampled rows."""
    shortened: int
    """Number of sampled rows that show less than they could, so that they fit with every version."""


def sample_rows(task: Task, prompts: Sequence[Prompt], workplace: Workplace, size: int, seed: int) -> Sample:
    """Draw rows of a technique; the versions do not matter, unless the engine has answers of some rows only.

    Args:
        task: The technique.
        prompts: The versions of its prompt.
        workplace: Data, engine and store.
        size: How many rows.
        seed: Another seed draws other rows.

    Raises:
        WrongUse: The technique has no row, or none that every version has an answer for.
    """
    renderers = [Renderer.of(task, prompt, workplace) for prompt in prompts]
    answered = _answered_by(workplace)
    everyone: dict[str, str] = {}
    can: set[str] = set()
    per_version: Counter[str] = Counter()
    for key, row in _dated_rows(task, workplace):
        everyone[key] = row.entity
        fitting = True
        for renderer in renderers if answered else ():
            there = answered is not None and answered(renderer.render(row.variables).key)
            per_version[renderer.prompt.name] += there
            fitting = fitting and there
        if fitting:
            can.add(key)
    if not can:
        raise _nothing_to_draw(task, prompts, len(everyone), per_version)
    of_all = dict(zip(everyone, strata_of(task.entity, list(everyone.values()), workplace.dataset), strict=True))
    keys = sorted(can)
    strata = [of_all[key] for key in keys]
    places = draw(keys, strata, size, seed)
    chosen = {keys[place]: strata[place] for place in places}
    rows, shortened = _fitted(task, workplace, renderers, chosen)
    return Sample(rows, len(everyone), len(can), dict(Counter(chosen.values())), shortened)


def rows_about(task: Task, prompts: Sequence[Prompt], workplace: Workplace, entities: Collection[str]) -> Sample:
    """Return all rows about given entities, whether the engine has answers or not.

    Raises:
        WrongUse: The technique has no row about one of them.
    """
    renderers = [Renderer.of(task, prompt, workplace) for prompt in prompts]
    everyone = {key: row.entity for key, row in _dated_rows(task, workplace)}
    if unknown := sorted(set(entities) - {*everyone.values()}):
        raise WrongUse(
            f"{task.name}: it has no row about {', '.join(unknown)}\n  give ids of {task.entity}s in the data"
        )
    of_all = zip(everyone, strata_of(task.entity, list(everyone.values()), workplace.dataset), strict=True)
    chosen = {key: stratum for key, stratum in of_all if everyone[key] in entities}
    rows, shortened = _fitted(task, workplace, renderers, chosen)
    return Sample(rows, len(everyone), len(everyone), dict(Counter(chosen.values())), shortened)


def _dated_rows(task: Task, workplace: Workplace) -> Iterator[tuple[str, Row]]:
    """Yield all rows with their keys, dated as a refresh does."""
    seen_until = workplace.identity_of(task).seen_until if task.entity != "event" else None
    for made in task.rows(workplace.inputs_of(task)):
        row = known_from(known_after_reads(task, made), seen_until)
        yield row_key(task.name, row.entity, row.as_of), row


def _answered_by(workplace: Workplace) -> Callable[[str], bool] | None:
    """Return what says whether a key has an answer; None if the engine asks a model, which answers everything."""
    unanswered = getattr(workplace.engine, "unanswered", None)
    if unanswered is None:
        return None
    stored = known_answers(workplace.store)
    return lambda key: stored.get(key, "") is None or not unanswered([key])


def _nothing_to_draw(task: Task, prompts: Sequence[Prompt], rows: int, found: Mapping[str, int]) -> WrongUse:
    if not rows:
        return WrongUse(f"{task.name}: there is no row to ask about\n  see: knowflow plan --task {task.name}")
    each = ", ".join(f"{prompt.name} has an answer for {found.get(prompt.name, 0):,}" for prompt in prompts)
    return WrongUse(
        f"{task.name}: the engine calls no model, and no row has an answer for every version: of {rows:,} rows, {each}"
        f"\n  {NAME_AN_ENGINE}"
    )


def _fitted(
    task: Task, workplace: Workplace, renderers: Sequence[Renderer], chosen: Mapping[str, str]
) -> tuple[tuple[SampledRow, ...], int]:
    """Make the chosen rows again; a row that is too long for one version shows less for all of them."""
    found: dict[str, Row] = {}
    for key, row in _dated_rows(task, workplace):
        # Of snapshots in the same second the later one has seen more, as in a plan.
        if key in chosen and (key not in found or _seen(row) >= _seen(found[key])):
            found[key] = row
    rows, shortened = [], 0
    for key, stratum in chosen.items():
        row = found[key]
        for renderer in renderers:
            row, _, _ = renderer.fitted(row)
        shortened += row is not found[key]
        rows.append(SampledRow(key, stratum, row))
    return tuple(rows), shortened


def _seen(row: Row) -> float:
    return row.seen_until.timestamp() if row.seen_until else 0.0
