"""Remove what a model thought before its answer: the answer alone is knowledge.

Servers with a reasoning parser send the thoughts in a field of their own; without one, or with vLLM in this process,
they stand at the beginning of the text.
"""

import re

WAYS_OUT = (
    "max_tokens went into thinking; switch thinking off (engine.options.extra: {chat_template_kwargs:"
    " {enable_thinking: false}} for openai, engine.options.template: {enable_thinking: false} for vllm) or raise"
    " sampling.max_tokens in the prompt"
)
"""Says what to do about an answer that is nothing but thinking."""
BLOCKS = (
    # what opens a block, and what closes it
    (r"<(think|thinking|thought|reasoning)>", r"</{0}>"),
    (r"◁think▷", r"◁/think▷"),  # Kimi
    (r"\[THINK\]", r"\[/THINK\]"),  # Magistral
)
CLOSED_ONLY = re.compile(r"(?:^|\n)[ \t]*</(?:think|thinking|reasoning)>|</(?:think|thinking|reasoning)>[ \t]*(?:\n|$)")
"""The end of a block that the chat template has opened; inside a sentence it is a word that the answer mentions."""
HARMONY = re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>(\w+)[^<]*<\|message\|>")
"""The beginning of a message of gpt-oss: its thoughts are in the channel `analysis`, the answer is in `final`."""
HARMONY_END = re.compile(r"<\|(?:end|return|call)\|>")
BARE = "analysis"
BARE_HARMONY = re.compile(rf"{BARE}(?=[A-Z\W]).*?assistantfinal(?=\S)", re.DOTALL)
"""The same without its special tokens, as a tokenizer that skips them writes it."""
MARKS = ("<", "◁", "[THINK]")
"""Every text with thinking has one of these, or begins with `BARE`."""


def without_thinking(text: str) -> str | None:
    r"""Return a text without the thinking at its beginning, and any other text unchanged.

    Returns:
        The answer; None if there is nothing but thinking, such as a block that was cut off.

    Example:
        >>> without_thinking("<think>\nHm.\n</think>\n\nA warm film.")
        'A warm film.'
        >>> without_thinking("The tag <think> opens a block.")
        'The tag <think> opens a block.'
        >>> without_thinking("<think>\nThe user wants") is None
        True
    """
    if not (text.startswith(BARE) or any(mark in text for mark in MARKS)):
        return text  # nearly every answer
    if HARMONY.match(text.lstrip()):
        return _final_of(text)
    bare = BARE_HARMONY.match(text)
    if bare:
        return _rest(text[bare.end() :])
    rest, stripped = text, False
    while (opened := _opened(rest)) is not None:
        begin, closing = opened
        end = re.search(closing, rest[begin:])
        if end is None:
            return None
        rest, stripped = rest[begin + end.end() :], True
    closed = CLOSED_ONLY.search(rest)
    if closed and not stripped and not re.search(BLOCKS[0][0], rest[: closed.start()]):
        rest, stripped = rest[closed.end() :], True
    return _rest(rest) if stripped else text


def _opened(text: str) -> tuple[int, str] | None:
    """Return where the block at the beginning of a text starts, and the pattern of its end; None if there is none."""
    for opening, closing in BLOCKS:
        found = re.match(rf"\s*{opening}", text)
        if found:
            return found.end(), closing.format(*found.groups())
    return None


def _final_of(text: str) -> str | None:
    """Return the last message of the channel `final`; None if there is none."""
    final = [found for found in HARMONY.finditer(text) if found[1] == "final"]
    return _rest(HARMONY_END.split(text[final[-1].end() :])[0]) if final else None


def _rest(text: str) -> str | None:
    return text.strip() or None
