"""What to ask a large language model, and how an answer becomes a row: one file per technique."""
