"""Recommenders: each in its own file behind one protocol, found in this folder."""
