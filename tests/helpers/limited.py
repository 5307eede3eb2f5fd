"""Runs a command of `knowflow` that may write no file of more than so many bytes: BYTES WORDS."""

import resource
import sys

from cli.main import main

if __name__ == "__main__":
    most = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    main(sys.argv[2:])
