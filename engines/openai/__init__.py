"""Any number of OpenAI-compatible servers answer."""
