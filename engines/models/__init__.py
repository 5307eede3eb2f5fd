"""Models on this machine: read GGUF files, convert them to ordinary folders, fetch a small one, list what is there."""
