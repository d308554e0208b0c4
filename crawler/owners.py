"""Checks who owns a file: files and links that another user could have put there are neither used nor followed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

ROOT: Final = 0
_MAX_LINKS: Final = 40
"""Most symbolic links on one path, as in Linux."""


class ForeignLink(OSError):
    """A symbolic link on the path belongs to another user."""


def is_ours(facts: os.stat_result) -> bool:
    """Whether it belongs to us or to root: root may write anything anyway."""
    return facts.st_uid in (os.geteuid(), ROOT)


def others_may_write(facts: os.stat_result) -> bool:
    """Whether its mode lets others write: any user, or a group that is not ours alone.

    Where each user has a private group, files are commonly created with write access for it (umask 002).
    """
    mode = facts.st_mode
    return bool(mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _is_private(facts.st_gid)))


def _is_private(gid: int) -> bool:
    """Whether the group contains nobody but us, according to this machine's files of users and groups."""
    import grp
    import pwd

    try:
        us = pwd.getpwuid(os.geteuid())
        members = grp.getgrgid(gid).gr_mem
    except KeyError:
        return False
    others = [user.pw_name for user in pwd.getpwall() if user.pw_gid == gid and user.pw_uid != us.pw_uid]
    return us.pw_gid == gid and not others and set(members) <= {us.pw_name}


def resolved(name: str | Path) -> Path:
    """The path to which *name* leads, through links that may be followed; ForeignLink for any other link.

    The last link must belong to us or to root, whatever the kernel's `protected_symlinks` is set to. A link on the way
    to the folder must do so only where others could have put it there: in a folder that all may write to. Open the
    result with O_NOFOLLOW (see `nofollow`), so that no link can replace it meanwhile.
    """
    path, links = Path(name).absolute(), 0
    done, todo = Path(path.anchor), list(path.parts[1:])
    while todo:
        part = todo.pop(0)
        if part == "..":
            done = done.parent
            continue
        place = done / part
        try:
            facts = place.lstat()
        except FileNotFoundError:
            return place.joinpath(*todo)
        if not stat.S_ISLNK(facts.st_mode) or _leads_to_a_descriptor(place):
            done = place
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not is_ours(facts) and (not todo or _is_shared(done.stat(), facts)):
            raise ForeignLink(errno.EACCES, f"{place} is a link of another user (uid {facts.st_uid})")
        target = place.readlink()
        if target.is_absolute():
            done = Path(target.anchor)
        todo = [*(part for part in target.parts if part != target.anchor), *todo]
    return done


def read(name: Path) -> bytes:
    """The content of the file *name*, if nobody else could write it: settings name code to run, and where secrets go.

    Raises OSError if it belongs to another user, if others may write it, or if it is no regular file.
    """
    place = resolved(name)
    with os.fdopen(os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | nofollow(place)), "rb") as opened:
        facts = os.fstat(opened.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if not is_ours(facts):
            raise OSError(
                errno.EACCES,
                f"it belongs to another user (uid {facts.st_uid}) and could name code to run: use another folder, or"
                " make a copy of your own",
            )
        if others_may_write(facts):
            raise OSError(errno.EACCES, f"others may write it, and it may name code to run: `chmod go-w {name}`")
        return opened.read()


def nofollow(path: Path) -> int:
    """The flag for opening what `resolved` has found."""
    return 0 if _leads_to_a_descriptor(path) else os.O_NOFOLLOW


def _leads_to_a_descriptor(path: Path) -> bool:
    """Links in /proc cannot be made by a user: /dev/stdout leads there, and to things without a name."""
    return path.parts[1:2] == ("proc",)


def _is_shared(folder: os.stat_result, link: os.stat_result) -> bool:
    """As the kernel defines it (proc_sys_fs(5), protected_symlinks), sticky or not."""
    return bool(folder.st_mode & stat.S_IWOTH) and folder.st_uid != link.st_uid
