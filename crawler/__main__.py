"""The program: `crawler`, and `python -m crawler`."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Load the command line, and run it."""
    gc.disable()  # what is loaded stays: to look for garbage meanwhile takes a seventh of the time
    try:
        from crawler.cli import app
    except KeyboardInterrupt:  # Ctrl-C while it starts: nothing has begun
        sys.exit(130)
    gc.enable()
    app.main()


if __name__ == "__main__":
    # `python -m` puts the current folder first: what lies there must not be taken for a library of ours.
    if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:  # noqa: PTH109 - pathlib takes a while to load
        del sys.path[0]
    main()
