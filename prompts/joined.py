"""Render a message of plain placeholders by joining texts: what Jinja2 would write, ten times faster.

A message without control flow, whose placeholders are a row's variables as they are (`{{ input }}`) or with constant
replacements (`{{ query | replace("<", "&lt;") }}`), is split once a domain: Jinja2 renders what depends on the domain
alone, and a row only joins its values with it. Any other message is left to Jinja2.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, UndefinedError, nodes

from prompts.domain import Domain
from prompts.untrusted import shown_as_data

RANDOM = "random"
"""The filter of Jinja2 whose result differs from call to call."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message shows a variable."""

    name: str
    """The variable."""
    replaced: tuple[tuple[str, str], ...]
    """(old, new): what is replaced in its text, in order."""
    after: str
    """The text of the message from there to the next place."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A message of plain placeholders, in one domain."""

    begin: str
    """The text before the first place."""
    places: tuple[Place, ...]
    """Where it shows variables, in order."""

    def knows(self, variables: Container[str]) -> bool:
        """Return whether a row provides all variables; Jinja2 says what is wrong if not."""
        return all(place.name in variables for place in self.places)

    @property
    def constant(self) -> tuple[str, ...]:
        """Return what stands around the places: one text more than there are places."""
        return (self.begin, *(place.after for place in self.places))

    def join(self, variables: Mapping[str, Any]) -> str:
        """Return the message with a row's variables, which must be all there.

        Raises:
            UndefinedError: The value of a variable is an undefined one of another template.
        """
        texts = [self.begin]
        for place in self.places:
            value = variables[place.name]
            for old, new in place.replaced:
                value = str(value).replace(old, new)
            texts += (str(shown_as_data(value)), place.after)
        return "".join(texts)


def split(text: str, environment: Environment, domain: Domain) -> Joined | None:
    """Split a message of plain placeholders.

    Args:
        text: Its Jinja2 text.
        environment: What renders messages.
        domain: The words of the domain.

    Returns:
        What joins it with variables; None if it is more than plain placeholders.

    Example:
        >>> from prompts.domain import load_domain
        >>> joined = split("Who enjoys this {{ domain.noun }}?\\n{{ input }}", Environment(), load_domain("films"))
        >>> joined.begin, joined.join({"input": "Heat (1995)"})
        ('Who enjoys this movie?\\n', 'Who enjoys this movie?\\nHeat (1995)')
    """
    texts, shown = [""], list[tuple[str, tuple[tuple[str, str], ...]]]()
    for statement in environment.parse(text).body:
        if not isinstance(statement, nodes.Output):
            return None
        for node in statement.nodes:
            if isinstance(node, nodes.TemplateData):
                texts[-1] += node.data
            elif (place := _place(node)) is not None:
                shown.append(place)
                texts.append("")
            elif _of_the_domain(node):
                alone = nodes.Template([nodes.Output([node], lineno=1)], lineno=1)
                try:
                    texts[-1] += environment.from_string(alone).render(domain=domain)
                except UndefinedError:  # a word that the domain lacks: Jinja2 says so when a row is rendered
                    return None
            else:
                return None
    places = [Place(name, replaced, after) for (name, replaced), after in zip(shown, texts[1:], strict=True)]
    return Joined(texts[0], tuple(places))


def _place(node: nodes.Expr) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """Return variable and replacements of a plain placeholder; None if it is none."""
    if isinstance(node, nodes.Name):
        return None if node.name == "domain" else (node.name, ())
    if not isinstance(node, nodes.Filter) or node.name != "replace" or node.node is None:
        return None
    old_and_new = tuple(one.value for one in node.args if isinstance(one, nodes.Const))
    plain = len(old_and_new) == len(node.args) == 2 and all(isinstance(one, str) for one in old_and_new)
    inner = _place(node.node) if plain and not (node.kwargs or node.dyn_args or node.dyn_kwargs) else None
    return None if inner is None else (inner[0], (*inner[1], old_and_new))


def _of_the_domain(node: nodes.Expr) -> bool:
    """Return whether an expression depends on the domain alone, or on nothing."""
    whole = nodes.Output([node])
    names = {one.name for one in whole.find_all(nodes.Name)}
    return names <= {"domain"} and RANDOM not in {one.name for one in whole.find_all(nodes.Filter)}
