"""What every room builds on: the frozen model of a config, progress reports, and the search for plug-ins."""
