"""Encode text to vectors: dense, lexical, or with a large model inside vLLM."""
