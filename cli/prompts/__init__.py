"""knowflow prompts: the commands that change a prompt and show what it is worth, one file each."""
