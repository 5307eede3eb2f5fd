"""Read a prompt that a model has rewritten: what could not be asked, or could do harm, is rejected with a reason.

A rewritten prompt must use the same data as the prompt that it came from. It may use nothing of Jinja2 that the first
one does not use: a loop or a call that a model invents could run for hours.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from jinja2 import TemplateError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from prompts.domain import Domain
from prompts.prompt import Prompt

Parts = tuple[tuple[str, str], ...]
"""(role, Jinja2 text) of each message, in order."""
HEADING = re.compile(r"^# (system|user|assistant)[ \t]*\n", flags=re.MULTILINE)
FENCE = re.compile(r"^```[^\n`]*\n(.*?)^```[ \t]*$", flags=re.DOTALL | re.MULTILINE)
LEAST_ROOM, TIMES = 3_000, 4
"""A rewritten prompt may have this many characters, or this many times those of the first one."""
PLAIN = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Filter, nodes.Const)
"""What any prompt may use: text, variables, fields of the domain, and filters."""
FILTERS = frozenset({"join", "lower", "upper", "trim"})


class NotAPrompt(Exception):
    """A text that a model wrote cannot be used as a prompt; the text says why.

    Args:
        kind: What is wrong, in words that are the same for all texts of this kind.
        detail: What is wrong with this text.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        self.kind = kind
        super().__init__(f"{kind}: {detail}" if detail else kind)


@dataclass(frozen=True)
class RewriteReader:
    """Reads what a model wrote as a new version of a prompt."""

    first: Prompt
    """The prompt that the search starts from."""

    def __call__(self, answer: str) -> Parts:
        """Return the messages of a rewritten prompt.

        Args:
            answer: What the model wrote; the prompt is in its last fence of ```, if there is one.

        Raises:
            NotAPrompt: It cannot be used.
        """
        parts = self._parts(answer)
        if not parts or any(not text for _, text in parts):
            raise NotAPrompt("holds no prompt")
        roles, wanted = [role for role, _ in parts], [role for role, _ in self.first.parts]
        if roles[-1] != wanted[-1] or "system" in roles[1:]:
            raise NotAPrompt("has its messages in another order", " ".join(roles))
        size, room = sum(len(text) for _, text in parts), self._room()
        if size > room:
            raise NotAPrompt("is too long", f"{size:,} characters of at most {room:,}")
        self._check_names(parts)
        return parts

    def _parts(self, answer: str) -> Parts:
        fenced = FENCE.findall(answer)
        text = fenced[-1] if fenced else answer
        pieces = HEADING.split(text)
        if len(pieces) >= 3:
            return tuple((pieces[i], pieces[i + 1].strip()) for i in range(1, len(pieces), 2))
        # Without a fence, nothing says where the model's remarks end and its prompt begins.
        alone = fenced and len(self.first.parts) == 1
        return ((self.first.parts[0][0], text.strip()),) if alone else ()

    def _room(self) -> int:
        return max(LEAST_ROOM, TIMES * sum(len(text) for _, text in self.first.parts))

    def _check_names(self, parts: Parts) -> None:
        """Check what the texts use of Jinja2, of the rows and of the domain."""
        own = [node for _, text in self.first.parts for node in _all_nodes(text)]
        allowed, used = {*PLAIN, *map(type, own)}, set[str]()
        filters = FILTERS | {node.name for node in own if isinstance(node, nodes.Filter)}
        fields = {*Domain.model_fields, *(node.attr for node in own if isinstance(node, nodes.Getattr))}
        for role, text in parts:
            try:
                found = _all_nodes(text)
            except TemplateError as error:
                raise NotAPrompt("does not parse", str(error)) from None
            if strange := sorted({type(node).__name__ for node in found if type(node) not in allowed}):
                raise NotAPrompt("uses more of Jinja2 than the first prompt", ", ".join(strange))
            _check_fields(found, filters, fields)
            names = _names(text)
            if role == "system" and names & self.first.variables:
                raise NotAPrompt("puts data into a system message", ", ".join(sorted(names & self.first.variables)))
            used |= names
        if unknown := sorted(used - self.first.variables):
            raise NotAPrompt("uses unknown variables", ", ".join(unknown))
        if missing := sorted(self.first.variables - used):
            raise NotAPrompt("leaves out variables", ", ".join(missing))


def _all_nodes(text: str) -> list[nodes.Node]:
    tree = SandboxedEnvironment().parse(text)
    return [tree, *tree.find_all(nodes.Node)]


def _names(text: str) -> set[str]:
    return meta.find_undeclared_variables(SandboxedEnvironment().parse(text)) - {"domain"}


def _check_fields(found: list[nodes.Node], filters: Collection[str], fields: Collection[str]) -> None:
    """Check that fields are those of the domain or of the first prompt, and that filters are harmless."""
    for node in found:
        if isinstance(node, nodes.Filter) and node.name not in filters:
            raise NotAPrompt("uses more of Jinja2 than the first prompt", f"the filter {node.name}")
        if isinstance(node, nodes.Getattr) and node.attr not in fields:
            raise NotAPrompt("uses unknown variables", f"a field {node.attr}")


def as_text(parts: Parts) -> str:
    """Write messages as they stand in a prompt file.

    Example:
        >>> as_text((("user", "Describe {{ input }}."),))
        '# user\\nDescribe {{ input }}.'
    """
    return "\n\n".join(f"# {role}\n{text}" for role, text in parts)
