"""Adapters: how knowledge enters a backbone."""
