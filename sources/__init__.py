"""Sources: the user's own events, items, users and queries as documented tables."""
