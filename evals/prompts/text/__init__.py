"""What the texts of several versions of a prompt are like, measured without any event after the sample."""
