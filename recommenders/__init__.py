"""Models that name items: each a file of its own behind one protocol, found by walking this folder."""
