"""What can be wrong with a prompt or a domain file, told in words."""


class PromptFault(Exception):
    """A prompt or domain file cannot be used.

    Args:
        file: The file the fault is in.
        what: What is wrong, in plain words.
        fix: What to change.
    """

    def __init__(self, file: str, what: str, fix: str) -> None:
        super().__init__(f"{file}: {what}\n  {fix}")
        self.file, self.what, self.fix = file, what, fix
