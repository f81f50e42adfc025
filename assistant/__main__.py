"""The command `assistant`, also as `python -m assistant`."""

import os
import sys

from assistant.cli import app


def main() -> None:
    """Run the command line, and leave at once.

    By then everything is closed and written. Python would go on for seconds to take down what torch, Gradio and Chroma
    have loaded, while somebody who pressed Ctrl-C waits.
    """
    try:
        app()
    except SystemExit as done:
        status = done.code if isinstance(done.code, int) else bool(done.code)
    else:
        status = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
