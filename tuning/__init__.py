"""A model learns from your events, your instructions, or what your search likes."""
