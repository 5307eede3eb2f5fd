"""What versions of a prompt are worth to the recommender, measured on a sample of rows."""
