"""Adapters: ways by which knowledge enters a backbone."""
