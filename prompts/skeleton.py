"""The skeleton of a prompt: its text in the words of a domain, with marks where it shows data."""

from collections.abc import Iterable, Sequence

from jinja2 import StrictUndefined, UndefinedError, nodes
from jinja2.sandbox import SandboxedEnvironment

from prompts.domain import Domain
from prompts.faults import unfit
from prompts.prompt import Prompt

DATA = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands where a prompt shows a value of a row."""
FORK = "\N{REPLACEMENT CHARACTER}"
"""Stands where the text depends on a value of a row without showing it: at an `if` or a loop."""


def skeleton(prompt: Prompt, domain: Domain) -> tuple[tuple[str, str], ...]:
    """Render a prompt with marks instead of data; of an `if` on data, the first branch.

    Args:
        prompt: The prompt.
        domain: The words of the domain.

    Returns:
        (role, text) of each message.

    Raises:
        WrongUse: The text uses a word that the domain does not have.
    """
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    found: list[tuple[str, str]] = []
    for role, text in prompt.parts:
        tree = environment.parse(text)
        tree.body = _marked(tree.body, set(prompt.variables))
        tree.set_environment(environment)
        try:
            found.append((role, environment.from_string(tree).render(domain=domain)))
        except UndefinedError as error:
            raise unfit(prompt.file, str(error), "a domain has the words of prompts/domain.py alone") from None
    return tuple(found)


def _marked(body: Sequence[nodes.Node], data: set[str]) -> list[nodes.Node]:
    """Put marks in place of what uses data; `data` grows by the names that are set from data."""
    found: list[nodes.Node] = []
    for node in body:
        if isinstance(node, nodes.Output):
            shown = [nodes.TemplateData(DATA) if _names([one]) & data else one for one in node.nodes]
            found.append(nodes.Output(shown))
        elif isinstance(node, nodes.If) and _names([node.test]) & data:
            found += [_text(FORK), *_marked(node.body, data)]
        elif isinstance(node, nodes.If):
            for branch in (node, *node.elif_):
                branch.body = _marked(branch.body, data)
            node.else_ = _marked(node.else_, data)
            found.append(node)
        elif isinstance(node, nodes.For) and _names([node.iter]) & data:
            found += [_text(FORK), *_marked(node.body, data | _names([node.target]) | {"loop"})]
        elif isinstance(node, nodes.For):
            node.body = _marked(node.body, data)
            found.append(node)
        elif isinstance(node, nodes.Assign) and _names([node.node]) & data:
            data |= _names([node.target])
        else:
            found.append(_text(DATA) if _names([node]) & data else node)
    return found


def _text(mark: str) -> nodes.Node:
    return nodes.Output([nodes.TemplateData(mark)])


def _names(of: Iterable[nodes.Node]) -> set[str]:
    return {
        name.name
        for node in of
        for name in (*([node] if isinstance(node, nodes.Name) else []), *node.find_all(nodes.Name))
    }
