"""The folder in which an embedded Redis may live: made for its owner alone, or one that holds nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from crawler import owners
from crawler.errors import EmbeddedRedisError

ELSE: Final = "or use --redis URL"
"""How the message of each failure here may end."""
_OURS: Final = frozenset(
    ("door", "users", "server", "socket", "version", "redis.log", "redis.sock", "redis.pid", "appendonlydir")
)
"""Names of which one is in each folder that was used before."""


def prepare(folder: Path) -> None:
    """Make the folder, for its owner only; refuse one that others could have prepared, or that holds something else.

    One that is there already keeps its mode.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.stat()
    if facts.st_uid != os.geteuid():
        raise EmbeddedRedisError(
            f"{folder} belongs to another user (uid {facts.st_uid}): run as that user, in another folder, {ELSE}"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EmbeddedRedisError(f"{folder} is not writable: make it so, run in another folder, {ELSE}")
    if owners.others_may_write(facts):
        raise EmbeddedRedisError(
            f"others may write to {folder}: take that right away (`chmod go-w`), name a folder that is not there yet,"
            f" {ELSE}"
        )
    found = {entry.name for entry in os.scandir(folder)} - {"lost+found"}
    if found and not found & _OURS:
        raise EmbeddedRedisError(
            f"{folder} holds other files ({min(found)}, ...): name an empty folder, or one that is not there yet,"
            f" {ELSE}"
        )
