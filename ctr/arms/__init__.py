"""Arms that no technique feeds, or several: one file each; the others are declared with their technique."""
