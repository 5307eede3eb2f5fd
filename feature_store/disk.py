"""Recognise failures of the disk, whoever reports them."""

import errno
import os
import re

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE, errno.EACCES, errno.EPERM)
"""Errors of the operating system that a full, broken or read-only disk causes."""


def reason_of(error: Exception) -> str | None:
    """Return the operating system's message if the disk failed; LanceDB wraps it in its own error."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        found = re.search(r"os error (\d+)", str(error))
        number = int(found[1]) if found else None
    return os.strerror(number) if number in DISK_ERRORS else None
