"""A prompt in a domain and for a model: what all rows share is computed once, and a row is rendered fast."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, Template, UndefinedError

from prompts.domain import Domain
from prompts.faults import unfit
from prompts.joined import Joined, split
from prompts.untrusted import Breaker

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a prompt."""

    role: str
    """Who says it."""
    joined: Joined | None
    """Joins it with variables; None if it is more than plain placeholders."""
    template: Template
    """Renders any."""
    breaker: Breaker
    """Breaks special tokens in it."""

    def render(self, variables: Mapping[str, Any], domain: Domain) -> Message:
        """Render the message with a row's variables."""
        if self.joined is not None and self.joined.knows(variables):
            content = self.joined.join(variables)
        else:
            content = self.template.render(domain=domain, **variables)
        return {"role": self.role, "content": self.breaker.broken(content)}


@dataclass(frozen=True, slots=True)
class Filled:
    """A prompt in a domain and for a model; create it with `Prompt.filled`."""

    file: str
    """Name of the prompt's file."""
    parts: tuple[Part, ...]
    """Its messages, in order."""
    domain: Domain
    """The words of the domain."""

    def render(self, variables: Mapping[str, Any]) -> list[Message]:
        """Render the text with a row's variables; see `Prompt.render`.

        Raises:
            WrongUse: The text uses a variable that the row does not provide.
        """
        try:
            return [part.render(variables, self.domain) for part in self.parts]
        except UndefinedError as error:
            raise unfit(self.file, str(error), "add it to the task's Row(variables=...), or remove it") from None

    def plain_parts(self, names: Collection[str]) -> tuple[tuple[str, Joined], ...] | None:
        """Return role and text of each message if a row whose texts are plain is shown by joining them, and no more.

        Args:
            names: The variables of every row.

        Returns:
            None if a message is left to Jinja2, or a special token may arise where plain data meets the text around it.
        """
        found = []
        for part in self.parts:
            joined = part.joined
            if joined is None or not joined.knows(names) or not part.breaker.leaves("".join(joined.constant)):
                return None
            found.append((part.role, joined))
        return tuple(found)


def fill(
    file: str, parts: tuple[tuple[str, str], ...], environment: Environment, domain: Domain, special: tuple[str, ...]
) -> Filled:
    """Prepare a prompt.

    Args:
        file: Name of its file.
        parts: (role, Jinja2 text) of each message.
        environment: What renders messages.
        domain: The words of the domain.
        special: The special tokens of the model's tokenizer.
    """
    return Filled(
        file,
        tuple(
            Part(role, split(own, environment, domain), environment.from_string(own), Breaker.of(special, own))
            for role, own in parts
        ),
        domain,
    )
