"""A Prefect server that lives as long as the process that started it: `python -m flows.server_process`.

Prefect's own temporary server receives the Ctrl-C for the flow, which then waits for the server for a minute or more,
and it keeps running forever if its parent is killed.
"""

import os
import socket
import sys
import time

from app.lifeline import when_the_parent_ends

SECONDS_TO_END = 10
"""Grace period before the server is killed."""


def main() -> None:
    """Write the port as one line, then serve until the parent is gone."""
    os.environ |= {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "ERROR"  # shown by the parent if the start fails
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # early requests are answered once the server is up
    import uvicorn  # noqa: PLC0415 - Prefect reads its settings when it is imported

    server = uvicorn.Server(
        uvicorn.Config("prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on")
    )

    def end() -> None:
        server.should_exit = True
        time.sleep(SECONDS_TO_END)
        os._exit(0)

    when_the_parent_ends(end)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
