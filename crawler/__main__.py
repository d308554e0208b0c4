"""The entry point of the program: `crawler`, and `python -m crawler`."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Load the command line, and run it."""
    gc.disable()  # what is loaded stays: searching it for garbage takes a seventh of the start
    try:
        from crawler.cli import app
    except KeyboardInterrupt:  # Ctrl-C while it starts: nothing has begun
        sys.exit(130)
    gc.enable()
    app.main()


if __name__ == "__main__":
    # `python -m` puts the current folder first: a file there must not be imported in place of a library.
    if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:  # noqa: PTH109 - pathlib takes a while to load
        del sys.path[0]
    main()
