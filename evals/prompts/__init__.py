"""What versions of a prompt are like, and what they are worth."""
