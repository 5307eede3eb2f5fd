"""Formats in which other tools read what a release knows: one file each, found without registration."""
