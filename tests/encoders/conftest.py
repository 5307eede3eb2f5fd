"""The tiny models of vLLM that tests of engines and encoders share."""

from tiny_vllm import (  # noqa: F401
    answers_of,
    make_checkpoint,
    make_engine,
    options,
    request_of,
    tiny,
    vllm,
    vllm_shop,
)
