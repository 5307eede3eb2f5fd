"""Sources: the user's events, items, users and queries as documented tables."""
