"""Take users out of JSON: entries about them go, places in lists of users stay and lose their name."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from feature_store.needles import Needles

REMOVED = "(removed with a user who was forgotten)"
WHO = ("user", "agent")
"""Keys and columns that name a user."""
LISTS = ("user_ids", "users")
"""Keys of lists of users, in which a place means something: a kept model has a number for each user."""
AGENT = "agent/"
"""Begins the id of an agent in what a simulation wrote."""


@dataclass(frozen=True)
class Scrubber:
    """Takes some users out of JSON."""

    users: frozenset[str]
    """Their ids."""
    needles: Needles
    """Their texts, and the ids that stand out in any text."""

    def __call__(self, value: Any, key: str = "") -> Any:
        """Return plain JSON without the users; equal to the given one if it holds nothing of them."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            kept = {name: one for name, one in value.items() if not self.needles.hit(name)}
            return {name: REMOVED if self.names(name, one) else self(one, name) for name, one in kept.items()}
        if isinstance(value, list):
            if key in LISTS:
                return [f"forgotten-{secrets.token_hex(8)}" if self.is_one(one) else one for one in value]
            return [self(one) for one in value if not self.about(one)]
        return value

    def is_one(self, value: Any) -> bool:
        """Return whether a value is the id of one of the users, or of an agent of theirs."""
        return isinstance(value, str) and value.removeprefix(AGENT) in self.users

    def names(self, key: str, value: Any) -> bool:
        """Return whether an entry of an object names one of the users."""
        return key in WHO and self.is_one(value)

    def about(self, value: Any) -> bool:
        """Return whether an entry of a list is about one of the users."""
        return isinstance(value, Mapping) and any(self.names(key, one) for key, one in value.items())

    def text(self, text: str) -> str:
        """Return a text, or words in its place if it names one of the users.

        Example:
            >>> scrub = Scrubber(frozenset({"7"}), Needles())
            >>> scrub.text("25% of 7 answers"), scrub.text("the first: 7: 'I am sorry'")
            ('25% of 7 answers', '(removed with a user who was forgotten)')
        """
        named = self.needles.hit(text) or (self._named is not None and self._named.search(text))
        return REMOVED if named else text

    @cached_property
    def _named(self) -> re.Pattern[str] | None:
        """Return how gates, the leak check and pages name a user, whose id may be as short as a number."""
        if not self.users:
            return None
        one = "|".join(re.escape(user) for user in sorted(self.users))
        events = "|".join(re.escape(json.dumps(user, ensure_ascii=False)) for user in sorted(self.users))
        return re.compile(
            rf"(?<!\w)({one})(?=: ['\"])|\[({events}),|/({one})/-?\d{{6,}}|(?<!\w)[Uu]ser ({one})(?!\w)|· ({one})(?!\w)"
        )
