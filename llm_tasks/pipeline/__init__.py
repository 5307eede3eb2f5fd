"""The machinery every technique shares: rows, requests, the plan, generation, parsing, encoding."""
