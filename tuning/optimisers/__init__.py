"""Optimisers of prompts, found by searching this folder."""
