"""Encoders: text to vector, dense and lexical, content-addressed like answers."""
