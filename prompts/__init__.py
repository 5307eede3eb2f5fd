"""Prompts: versioned text, the words of a domain, and the loader that renders both into messages."""
