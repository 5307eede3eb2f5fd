"""Text to vector: dense, lexical, or a large model inside vLLM."""
