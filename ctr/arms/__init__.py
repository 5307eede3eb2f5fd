"""Arms of no technique or of several, one file each; the others are declared with their technique."""
