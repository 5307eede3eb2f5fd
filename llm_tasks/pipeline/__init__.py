"""What all techniques share: rows, requests, the plan, generation, parsing, encoding."""
