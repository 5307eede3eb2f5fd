"""What every room builds on: the frozen model of a config, progress, and the one walk that finds plug-ins."""
