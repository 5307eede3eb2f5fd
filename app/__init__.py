"""Combines the other rooms: the config, the workplace, child processes."""
