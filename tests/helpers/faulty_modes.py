"""Ways in which a server misbehaves, by the names that the cases in `tests/cases/servers` give them; see each README."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fault_server import Call, completion, told
from openai_asking import RateLimit
from starlette.responses import HTMLResponse, JSONResponse, Response

THOUGHT = "Okay, the user wants an introduction. Let me recall what I know. First, the category, then the material"
PAGE = "<!DOCTYPE html><html><head><title>Open WebUI</title></head><body>Sign in</body></html>"
REFUSAL = "The response was filtered due to the prompt triggering content management policy."
TOO_LARGE = "Request too large on tokens per minute (TPM): Limit 6000, Requested 6453, please reduce your message size."


def text_of(call: Call) -> str:
    """The answer of the faulty server to a prompt."""
    return f"A warm, well paced story with a strong cast, number {zlib.crc32(call.prompt.encode())}."


def body(call: Call, content: Any, reason: str = "stop", **changes: Any) -> dict[str, Any]:
    """A reply of status 200; `changes` are made to its choice."""
    message = {"role": "assistant", "content": content}
    made = completion(call.prompt, message=message, finish_reason=reason, **changes)
    return {**made, "model": "m", "usage": {"prompt_tokens": 100, "completion_tokens": 40}}


def parts(call: Call) -> dict[str, Any]:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]}
    return body(call, [thought, {"type": "text", "text": text_of(call)}])


def reasoning(call: Call) -> dict[str, Any]:
    made = body(call, None, "length")
    made["choices"][0]["message"]["reasoning_content"] = "Let me recall..."
    return made


BODIES: dict[str, Callable[[Call], dict[str, Any]]] = {
    "ok": lambda call: body(call, text_of(call)),
    "think": lambda call: body(call, f"<think>\n{THOUGHT}.\n</think>\n\n{text_of(call)}"),
    "thinkclose": lambda call: body(call, f"{THOUGHT}.\n</think>\n\n{text_of(call)}"),
    "thinkopen": lambda call: body(call, f"<think>\n{THOUGHT}", "length"),
    "length": lambda call: body(call, text_of(call)[:23], "length"),
    "abort": lambda call: body(call, text_of(call)[:23], "abort"),
    "choiceerror": lambda call: body(
        call, text_of(call)[:23], "error", error={"code": 502, "message": "Upstream provider disconnected"}
    ),
    "bodyerror429": lambda call: {"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-min"}},
    "bodyerror402": lambda call: {"error": {"code": 402, "message": "Insufficient credits. Add more."}},
    "parts": parts,
    "thoughtparts": lambda call: body(call, [{"type": "image_url"}, 7]),
    "reasoning": reasoning,
    "model": lambda call: {**body(call, text_of(call)), "model": "some-other-model-1b"},
    "hugeusage": lambda call: {
        **body(call, text_of(call)),
        "usage": {"prompt_tokens": 10**20, "completion_tokens": 40},
    },
}
RESPONSES: dict[str, Callable[[], Response]] = {
    "html200": lambda: HTMLResponse(PAGE),
    "html502": lambda: HTMLResponse("<html><body><h1>502 Bad Gateway</h1></body></html>", 502),
    "maxtok": lambda: told(400, "max_tokens must be at least 1, got -824."),
    "groq413": lambda: told(413, TOO_LARGE, "rate_limit_exceeded"),
    "refuse": lambda: told(400, REFUSAL, "content_filter"),
    "bad": lambda: told(400, "Unsupported parameter: 'max_tokens'"),
}


@dataclass
class Faulty:
    """Behaves by the mode it is set to, such as `think`, or `html200:0.5` for half of the prompts."""

    mode: str = "ok"
    limit: RateLimit | None = None
    """Calls that it takes a second; the others get a 429."""

    def __call__(self, call: Call) -> Response:
        name, _, share = self.mode.partition(":")
        if self.limit is not None and not self.limit.admits():
            return told(429, "Rate limit reached for requests per second", "rate_limit_exceeded")
        if zlib.crc32(call.prompt.encode()) % 1000 >= 1000 * float(share or 1):
            name = "ok"
        return RESPONSES[name]() if name in RESPONSES else JSONResponse(BODIES[name](call))
