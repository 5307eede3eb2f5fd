"""The only place where a model answers: recorded, in process with vLLM, or on OpenAI-compatible servers."""
