"""The command line `knowflow`: one file a noun; it only calls what the flows and the stages offer."""
