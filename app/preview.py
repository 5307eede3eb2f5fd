"""Render the prompt of one row of a technique, before any cost."""

from dataclasses import dataclass
from datetime import datetime

from app.config import Config
from app.workplace import one_task, open_workplace
from base.faults import WrongUse
from llm_tasks.pipeline.plan import check_prompt, task_rows
from llm_tasks.pipeline.task import Row
from prompts.library import choose_prompt


@dataclass(frozen=True)
class Preview:
    """The request of one row, or the text to encode if no model is called."""

    task: str
    """The technique."""
    entity: str
    """The entity of the row."""
    as_of: datetime
    """Time of the newest event it may use."""
    prompt: str | None
    """Name and version of the prompt; None if no model is called."""
    messages: tuple[dict[str, str], ...]
    """The messages of the request; empty if no model is called."""
    text: str | None
    """The text to encode if no model is called."""
    tokens: int | None
    """Tokens of the request."""
    counted: str
    """How the tokens were counted."""
    fault: str | None
    """Why the row cannot be requested; None if it can."""


def preview_row(config: Config, name: str, entity: str | None = None) -> Preview:
    """Render the first row of a technique, or the first one about an entity.

    Args:
        config: The config.
        name: The technique.
        entity: Id of an item, user, query or event; None = the first row.

    Raises:
        UnknownPlugin: There is no technique with this name.
        WrongUse: The technique has no row, or none about the entity; or the engine cannot answer its prompt.
    """
    task, workplace = one_task(config, name), open_workplace(config)
    options = workplace.options_of(task)
    prompt = choose_prompt(task.prompt, options.prompt_version, workplace.library) if task.prompt else None
    for row, request, fault, _ in task_rows(task, prompt, workplace):
        if entity is not None and row.entity != entity:
            continue
        if request is not None:
            check_prompt(request, prompt, workplace)
        return Preview(
            task.name,
            row.entity,
            row.as_of,
            prompt.name if prompt else None,
            tuple(dict(message) for message in request.messages) if request else (),
            _text(row) if prompt is None else None,
            workplace.engine.count_tokens(request.messages) if request else None,
            workplace.engine.token_counter,
            fault,
        )
    if entity is None:
        raise WrongUse(f"{name}: there is no row to ask about\n  see: knowflow plan --task {name}")
    raise WrongUse(
        f"--entity: {name} has no row about '{entity}'\n"
        f"  give the id of one {task.entity} in the data, or leave --entity out for the first row"
    )


def _text(row: Row) -> str:
    return str(row.variables.get("text", ""))
