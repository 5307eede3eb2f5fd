"""Tuning: a language model learns from the user's own events and from instructions; peft's adapters or whole models."""
