"""What servers say: a prompt that is too long is told from a limit of rates, in the words of each server."""

import pytest

from engines.openai.reply import Again, Reply, read_reply
from engines.openai.wording import is_slow_down, is_too_long, never_fits
from engines.request import Request

TOO_LONG = {
    "vllm": "This model's maximum context length is 16384 tokens. However, you requested 19591 tokens (9591 in the"
    " messages, 10000 in the completion). Please reduce the length of the messages or completion.",
    "vllm input": "The decoder prompt (length 9016) is longer than the maximum model length of 8192. Make sure that"
    " `max_model_len` is no smaller than the number of text tokens.",
    "vllm total": "The prompt (total length 25938) is too long to fit into the model (context length 8192).",
    "vllm left": "max_tokens must be at least 1, got -824.",
    "vllm left, newer": "max_tokens must be at least 1, got -46771. (parameter=max_tokens, value=-46771)",
    "vllm rust": "this model's maximum context length is 4096 tokens, but the prompt contains 5000 input tokens",
    "tgi": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 8740 `inputs` tokens"
    " and 500 `max_new_tokens`",
    "tgi, older": "Input validation error: `inputs` must have less than 1024 tokens. Given: 1168",
    "llama.cpp": "request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it",
    "llama.cpp batch": "input is too large to process. increase the physical batch size",
    "llama-cpp-python": "Requested tokens (2300) exceed context window of 2048",
    "ollama": "the input length exceeds the context length",
    "sglang": "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
    "sglang total": "Requested token count exceeds the model's maximum context length of 32768 tokens.",
    "sglang pool": "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens).",
    "lm studio": "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded with"
    " context length of only 32768 tokens, which is not enough.",
    "lm studio, older": "Error: Input length 6491 exceeds context length 1500",
    "openai": "This model's maximum context length is 4097 tokens, however you requested 6539 tokens (6283 in your"
    " prompt; 256 for the completion). Please reduce your prompt; or completion length.",
    "openai responses": "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "openai limit": "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 509178 tokens.",
    "openai string": "Invalid 'messages[0].content': string too long. Expected a string with maximum length 1048576.",
    "anthropic": "prompt is too long: 208310 tokens > 200000 maximum",
    "anthropic total": "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    "mistral": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "groq": "Please reduce the length of the messages or completion. (context_length_exceeded)",
    "together": "The input (250000 tokens) is longer than the model's context length (200000 tokens).",
    "xai": "This model's maximum prompt length is 131072 but the request contains 537812 tokens",
    "openrouter": "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens",
    "bedrock": "Input is too long for requested model.",
    "gemini": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "copilot": "prompt token count of 200000 exceeds the limit of 128000",
}
OTHERS = [
    "max_tokens is too large: 200000. This model supports at most 16384 completion tokens",
    "max_tokens must be at least 1, got 0.",
    "Unsupported parameter: 'context_length'",
    "Invalid 'tools' format",
    "temperature must be non-negative, got -1.",
    "The response was filtered due to the prompt triggering content management policy.",
    "The model `tiny` does not exist.",
]
RATES = [
    (429, "Rate limit reached for requests per second (rate_limit_exceeded)"),
    (429, "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29500, Requested 1200."),
    (413, "on tokens per minute (TPM): Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s."),
    (403, "Too many requests, please slow down"),
]
REQUEST = Request("k", ({"role": "user", "content": "who"},), {}, {"type": "text"})


def refused(status: int, words: str) -> Reply:
    return Reply(status, {}, b'{"error": {"message": "%s"}}' % words.encode())


@pytest.mark.parametrize("words", TOO_LONG.values(), ids=TOO_LONG)
def test_a_prompt_that_is_too_long_is_recognised_in_the_words_of_each_server(words):
    answer = read_reply(refused(400, words), REQUEST)

    assert answer.error == "too_long"
    assert not is_slow_down(400, words, None)


@pytest.mark.parametrize("words", OTHERS)
def test_other_refusals_are_not_taken_for_a_prompt_that_is_too_long(words):
    assert not is_too_long(400, words)


@pytest.mark.parametrize(("status", "words"), RATES)
def test_a_limit_of_rates_is_a_wait_and_no_error_of_the_row(status, words):
    with pytest.raises(Again) as again:
        read_reply(refused(status, words), REQUEST)

    assert again.value.slow_down


@pytest.mark.parametrize("status", [413, 429])
def test_a_request_larger_than_what_a_server_takes_in_a_minute_never_fits(status):
    words = "Request too large for gpt-4o on tokens per min (TPM): Limit 30,000, Requested 342,389."

    assert never_fits(words)
    assert read_reply(refused(status, words), REQUEST).error == "too_long"
