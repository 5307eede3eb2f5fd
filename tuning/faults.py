"""What can be wrong with a tuning, told in words."""


class TuningFault(Exception):
    """A model cannot be tuned as asked; the text says why and what to do."""
