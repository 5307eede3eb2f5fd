"""What a refresh has planned, kept so that the next one plans only subjects whose data has changed.

Of a technique that declares `own_data`, all that a subject's rows are made of is one number, its state. The code, the
prompt, the model and the options name the file that the states are kept in. A subject whose state is as it was keeps
its rows if the store holds each of them, and its answer, as the last refresh left them. All other subjects are planned.
"""

import hashlib
import json
import logging
import secrets
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from engines.protocol import special_tokens
from feature_store.answers import stored_answers
from feature_store.lineage import read_lineage
from llm_tasks.pipeline.before import COLUMNS
from llm_tasks.pipeline.own_data import states_of, subjects_of
from llm_tasks.pipeline.row_planner import PlannedRow
from llm_tasks.pipeline.task import Task
from llm_tasks.pipeline.workplace import KeptPlans, Workplace
from prompts.prompt import Prompt

SCHEMA = pl.Schema(
    {
        "subject": pl.UInt64,  # from `subjects_of`
        "state": pl.UInt64,
        "row": pl.UInt64,  # hash of the row's key
        "stored": pl.UInt64,  # hash of the row in the lineage
        "answered": pl.Datetime("us", "UTC"),  # when its answer was given; null if no model was asked
        "shortened": pl.Boolean,
    }
)
BROKEN = (OSError, pl.exceptions.PolarsError)
"""What reading a missing or damaged file, or writing to a full disk, raises."""
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptPlan:
    """The plan of one technique as the last refresh left it, and the states of its subjects now."""

    file: Path
    """Where it is kept; the name holds a digest of all that shapes a plan beside the data."""
    states: pl.DataFrame
    """subject and state of every subject in the data."""
    rows: pl.DataFrame
    """The rows of the last refresh, with the columns of `SCHEMA`; empty if none are kept."""

    @classmethod
    def of(cls, task: Task, prompt: Prompt | None, workplace: Workplace) -> "KeptPlan | None":
        """Read what is kept; None for a technique whose rows depend on more than their subject, and for a slice."""
        if workplace.kept is None or not task.own_data or task.parts or workplace.slice is not None:
            return None
        file = workplace.kept.folder / f"{task.name}.{shape_of(task, prompt, workplace, workplace.kept)}.parquet"
        try:
            rows = pl.read_parquet(file, schema=SCHEMA)
        except BROKEN:  # not kept, or damaged: all subjects are planned
            rows = SCHEMA.to_frame()
        return cls(file, states_of(workplace.dataset, task.entity), rows)

    def settled(self, lineage: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
        """Return the kept rows of the subjects of which nothing has changed.

        Args:
            lineage: The technique's rows now, with the columns in `before.COLUMNS`.
            answers: All answers, from `stored_answers`.
        """
        same = self.rows.join(self.states, on=["subject", "state"], how="semi")
        stored = _stored(lineage, answers)
        there = same.join(stored, on=["row", "stored", "answered"], how="semi", nulls_equal=True)
        lost = same.join(there, on="row", how="anti")
        return there.join(lost, on="subject", how="anti")

    def keep(
        self,
        settled: pl.DataFrame,
        rows: Sequence[PlannedRow],
        shortened: Collection[str],
        workplace: Workplace,
        task: Task,
    ) -> None:
        """Keep the plan of a refresh that has written its rows, in place of the older one; a full disk costs only time.

        A subject is kept if each of its rows has a text, of one answer or of the technique itself. Nothing is kept if
        planning imported code that the file's name does not cover.

        Args:
            settled: Rows that were left as they are.
            rows: All other rows of the plan.
            shortened: Keys of those that show less, to fit the model's context.
            workplace: Holds the store.
            task: The technique.
        """
        if workplace.kept is None or not workplace.kept.covers():
            return
        columns = {
            "entity": [row.entity for row in rows],
            "key": [row.row for row in rows],
            "plain": [not row.candidates for row in rows],
            "shortened": [row.row in shortened for row in rows],
        }
        types = {"entity": pl.String, "key": pl.String, "plain": pl.Boolean, "shortened": pl.Boolean}
        planned = pl.DataFrame(columns, types)
        planned = planned.with_columns(subjects_of(planned["entity"]), pl.col("key").hash(0).alias("row"))
        lineage = read_lineage(workplace.store, [task.name], COLUMNS)
        stored = _stored(lineage, stored_answers(workplace.store))
        made = planned.filter("plain").join(stored, on="row").join(self.states, on="subject")
        lost = planned.join(made, on="row", how="anti")
        made = made.join(lost, on="subject", how="anti").select(SCHEMA.names())
        try:
            self._write(pl.concat([settled, made]), task)
        except BROKEN as error:  # the rows are written: what is paid for is released all the same
            words = "the plan of %s cannot be kept, so the next refresh plans everything: %s\n  free space in %s"
            LOG.warning(words, task.name, str(error).splitlines()[0], self.file.parent)

    def _write(self, rows: pl.DataFrame, task: Task) -> None:
        """Write the file whole, and delete older ones of the technique, and what a kill left half written."""
        folder = self.file.parent
        folder.mkdir(parents=True, exist_ok=True)
        half = folder / f".{task.name}.{secrets.token_hex(4)}"
        try:
            rows.write_parquet(half, statistics=False)
            half.replace(self.file)
        finally:
            half.unlink(missing_ok=True)
        for older in [*folder.glob(f"{task.name}.*.parquet"), *folder.glob(f".{task.name}.*")]:
            if older != self.file:
                older.unlink(missing_ok=True)


def shape_of(task: Task, prompt: Prompt | None, workplace: Workplace, kept: KeptPlans) -> str:
    """Return a digest of all that shapes a technique's plan but the data and the store."""
    only, dataset = workplace.inputs_of(task).only, workplace.dataset
    options = workplace.options_of(task).model_dump(mode="json")
    shapes = {
        "code": kept.code,
        "prompt": prompt.digest if prompt else None,
        "model": asdict(workplace.identity_of(task)) if prompt else None,
        "context": [workplace.engine.context_tokens, sorted(special_tokens(workplace.engine))] if prompt else None,
        "engine": kept.engine if prompt else None,
        "domain": workplace.domain.model_dump(mode="json"),
        "options": options,
        "named": kept.named(options),
        "only": None if only is None else sorted(only),
        "tables": [repr(t.schema) for t in (dataset.events, dataset.items, dataset.users) if t is not None],
        "fields": [dataset.text_fields, dataset.category_fields, dataset.number_fields],
    }
    return hashlib.sha256(json.dumps(shapes, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _stored(lineage: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Return row, stored and answered of the rows that have a text, and whose answer is there."""
    rows = lineage.select(COLUMNS)
    rows = rows.select(
        "answer_key", pl.col("row").hash(0), rows.hash_rows(0).alias("stored"), text="text_key", fault="error"
    )
    given = answers.filter(pl.col("error").is_null()).select(answer_key="key", answered="created_at")
    found = rows.filter(pl.col("text").is_not_null(), pl.col("fault").is_null()).join(
        given, on="answer_key", how="left"
    )
    return found.filter(pl.col("answer_key").is_null() | pl.col("answered").is_not_null()).select(
        "row", "stored", "answered"
    )
