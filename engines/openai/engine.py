"""The openai engine: any number of OpenAI-compatible servers, vLLM's or hosted ones, share the rows."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from engines.openai.body import chat_body, unwrapped
from engines.openai.http import Http
from engines.openai.options import SecretReader, read_key, read_options
from engines.openai.reply import read_reply
from engines.openai.run import running
from engines.openai.scores import NO_TOKENS, score
from engines.openai.tokens import EstimatedTokens, ExactTokens, Tokens
from engines.protocol import EngineConfig, EngineFault
from engines.request import Answer, ModelIdentity, Request


class OpenAIEngine:
    """Asks OpenAI-compatible servers.

    Args:
        config: The `engine:` part of knowflow.yaml; `options` as `OpenAIOptions` says.
        folder: What relative paths are relative to.
        secret: Reads a Prefect Secret block by its name; None where there is no Prefect.

    Raises:
        EngineFault: The options are wrong.
    """

    def __init__(self, config: EngineConfig, folder: Path, secret: SecretReader | None = None) -> None:
        self._options = read_options(config.options, folder)
        self._secret = secret
        extra = self._options.extra
        self._tokens: Tokens = EstimatedTokens()
        if self._options.tokenizer:
            self._tokens = ExactTokens(self._options.tokenizer, extra.get("chat_template_kwargs", {}))
        # What `extra` holds can change answers, so it is part of the identity like the revision.
        digest = hashlib.sha256(json.dumps(extra, sort_keys=True).encode()).hexdigest()[:8] if extra else ""
        revision = "+".join(part for part in (config.revision, digest) if part)
        self.identity = ModelIdentity(config.model, revision, seen_until=config.told_until)
        self.token_counter = self._tokens.words
        self.context_tokens = self._options.context_tokens

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Count the tokens of a rendered prompt; `token_counter` says how."""
        return self._tokens.count(messages)

    def check(self, request: Request) -> None:
        """Look at one request of a prompt before any is paid for.

        Raises:
            EngineFault: The prompt asks for what no server can be asked for.
        """
        if request.schema.get("type") != "scores":
            chat_body(request, self.identity.model, self._options)
        elif not isinstance(self._tokens, ExactTokens):
            raise EngineFault(f"{NO_TOKENS}\n  name the folder of the model's tokenizer there")

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Answer requests, each as it finishes; they are taken only as there is room for them.

        Raises:
            EngineFault: There is no key, or no server answers any more.
        """
        key, room = read_key(self._options, self._secret), self._options.in_flight
        waiting, source = 0, iter(requests)
        with running(self._options, key, self.identity.model, self._call) as run:
            more = True
            while True:
                while more and waiting < room:
                    request = next(source, None)
                    if request is None:
                        more = False
                    else:
                        run.ask(request)
                        waiting += 1
                if not waiting:
                    return
                answer = run.answer()
                waiting -= 1
                yield answer

    async def _call(self, http: Http, url: str, request: Request) -> Answer:
        options = self._options
        if request.schema.get("type") == "scores":
            model = request.adapter.name if request.adapter else self.identity.model
            return await score(http, url, request, model, options, self._tokens)
        reply = await http.post(url, "/chat/completions", chat_body(request, self.identity.model, options))
        answer = read_reply(reply, request)
        if answer.text is None:
            return answer
        return replace(answer, text=unwrapped(answer.text, request.schema, options.structured))
