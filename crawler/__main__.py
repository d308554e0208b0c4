"""The program: `crawler`, and `python -m crawler`."""

from __future__ import annotations

import gc


def main() -> None:
    """Load the command line, and run it."""
    gc.disable()  # what is loaded stays: to look for garbage meanwhile takes a seventh of the time
    from crawler import cli

    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
