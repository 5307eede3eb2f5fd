"""The only place where a model answers: recorded, in process by vLLM, or on OpenAI-compatible servers."""
