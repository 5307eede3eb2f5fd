"""A model in this process answers, by vLLM."""
