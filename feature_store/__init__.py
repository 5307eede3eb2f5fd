"""The feature store: answers, lineage, vectors and releases in LanceDB, read as of a time."""
