"""Detects traps: endless URLs of one template whose pages contain nothing new (calendars, session ids).

Pure. A *template* is what URLs have in common after removing numbers, ids and the values of their queries. A
*fingerprint* is the content of a page, without what its URL contributes to it. The frontier counts fingerprints and
quarantines a template that brings no new ones. `scope` detects the traps that one URL alone shows.

URLs that grow have no template in common: each page adds segments to its path, or parameters to its query. They share a
*glob*: `a.example/list/**` is everything two segments or more below that folder, `a.example/find?**` that path with any
query. `a.example/tags/*` is everything directly below a folder that has no template, because names may be endless too.
A glob is judged like a template, once a worker sees that its pages are alike (`worker/trap_sampler.py`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from hashlib import blake2b
from itertools import islice
from typing import Final
from urllib.parse import unquote, unquote_plus

from crawler import url as urls

MAX_TEMPLATE: Final = 500
"""Longest template, in characters; the rest is cut."""
MAX_TEXT: Final = 64 * 1024
"""How many characters of a page's text are used."""
_NEAR: Final = 10
"""Numbers of a text within this distance of one in the URL do not count: a calendar names the next years too."""
_MAX_NUMBERS: Final = 20
_MAX_SOURCES: Final = 200
_MAX_WORDS: Final = 40

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_PARAMETER = re.compile(r";([A-Za-z_]+)=[^/;]*")
# A run of letters and digits that nobody would choose as a name: hexadecimal of 8 and more, anything of 16 and more.
_TOKEN = re.compile(
    r"(?<![0-9A-Za-z])(?:(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{8,}|(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[0-9A-Za-z]{16,})"
    r"(?![0-9A-Za-z])"
)
_SEPARATED = re.compile("[/;]")
_ENCODED = re.compile(r"%(?:25)*([0-9A-Fa-f]{2})")  # however often it was escaped
_AMP = re.compile("(?:amp;|[&;])+")
_MIN_WORD: Final = 3
_LONG_PATH: Final = 5
"""Slashes."""
_BETWEEN_CRUMBS: Final = "/;|>\u00bb\u203a\u2192\u00b7\u2022\u2044"
_JOINTS = re.compile("[-_+]")
_VARIES = re.compile("[0-9?;]")  # nothing varies in most URLs
_DIGITS = re.compile(r"[0-9]+")
_SEPARATOR = re.compile(r"[&;]")
_SOURCE = re.compile(rb"""\bsrc[ \t\r\n]*=[ \t\r\n]*["']?([^"'> \t\r\n]{1,500})""", re.IGNORECASE)


def template(url: str) -> str | None:
    """The template of a canonical URL, with its host; None if no part of it looks variable.

    `http://a.example/cal/2031-04?view=day&d=3` is one of `a.example/cal/#-#?d=*&view=*`.
    """
    if not _VARIES.search(url, url.index("/", 8)):
        return None
    host, _, rest = urls.split(url)
    path, _, query = rest.partition("?")
    shape = _shape(path)
    if query:
        names = {_name(pair) for pair in _SEPARATOR.split(query, _MAX_NUMBERS)} - {"amp"}
        shape += "?" + "&".join(f"{name}=*" for name in sorted(names))
    return None if shape == path else (host + shape)[:MAX_TEMPLATE]


def _shape(path: str) -> str:
    if ";" in path:
        path = _PARAMETER.sub(r";\1=*", path)
    return _DIGITS.sub("#", _TOKEN.sub("*", _UUID.sub("*", path)))


def _name(pair: str) -> str:
    """The name of a parameter before links were escaped more than once: `amp%253Bp=1` is p."""
    name = pair.partition("=")[0]
    if "%" in name:
        name = _ENCODED.sub(lambda match: chr(int(match[1], 16)), name).partition("=")[0]
    return _DIGITS.sub("#", _AMP.sub("", name))


def folders(url: str) -> list[str]:
    """The folders that contain the canonical *url*, with its host, the outermost first; parameters of a path count."""
    host, _, rest = urls.split(url)
    path = rest.partition("?")[0]
    ends = [match.end() for match in _SEPARATED.finditer(path)]
    if ends[-1] == len(path):
        ends.pop()
    return [host + path[:end] for end in ends if len(host) + end < MAX_TEMPLATE - 2]


def last_glob(url: str) -> str | None:
    """The innermost glob of the canonical *url*: of its query, or else of its folder, unless it has a template."""
    host, _, rest = urls.split(url)
    path, _, query = rest.partition("?")
    if query:
        return f"{(host + _shape(path))[: MAX_TEMPLATE - 3]}?**"
    within = folders(url) if template(url) is None else ()
    return f"{within[-1]}*" if within else None


def trap_of(url: str, templates: Collection[str]) -> str | None:
    """The quarantined one of *templates* and globs that the canonical *url* matches."""
    name = template(url)
    if name in templates:
        return name
    globs = (f"{folder}**" for folder in folders(url)[:-1])
    found = next((glob for glob in globs if glob in templates), None)
    return found or ((last := last_glob(url)) in templates and last) or None


def template_id(name: str) -> str:
    """63 bits of a template as a decimal string: it names the template's keys."""
    return _hashed(name.encode())


def fingerprint(url: str, text: str, sources: Iterable[bytes] = ()) -> str:
    """63 bits of the page's content: its visible *text* without what its *url* contributes, and *sources*.

    *sources* are the addresses of its images and the like: a gallery may have no other content.
    """
    text = text[:MAX_TEXT]
    query = url.partition("?")[2]
    for pair in _SEPARATOR.split(query, _MAX_NUMBERS) if query else ():
        value = unquote_plus(pair.partition("=")[2])
        if len(value) > 2:
            text = text.replace(value, "")
    near = {int(run[:15]) + step for run in _DIGITS.findall(url)[:_MAX_NUMBERS] for step in range(-_NEAR, _NEAR + 1)}
    text = _DIGITS.sub(lambda run: "" if int(run[0][:15]) in near else run[0], text)
    return _hashed(" ".join(text.split()).encode("utf-8", "replace") + b"\0" + b"\0".join(sources))


def growth_print(url: str, title: str, text: str, sources: Iterable[bytes] = ()) -> str:
    """The fingerprint of a page whose URL may be growing: also without the words of its path.

    Breadcrumbs repeat those words; for long paths titles do too: `red-wine` is `Red Wine`. The *title* counts
    otherwise: products of a shop, whose paths are shorter, may differ only in it, and many pages have little other
    text.
    """
    text = f"{title}\n{text[:MAX_TEXT]}"
    path = urls.split(url)[2].partition("?")[0]
    words = {unquote(word) for word in _SEPARATED.split(path)[:_MAX_WORDS] if len(word) >= _MIN_WORD}
    if path.count("/") > _LONG_PATH:
        text, words = _plain(text), {_plain(word) for word in words}
    for word in words:
        text = text.replace(word, "")
    for sign in _BETWEEN_CRUMBS:
        text = text.replace(sign, " ")
    return fingerprint(url, text, sources)


def _plain(text: str) -> str:
    """*text* in lower case, with spaces for the characters that join words in a URL."""
    return _JOINTS.sub(" ", text.lower())


def sources(body: bytes) -> list[bytes]:
    """The values of `src` in a document, as written, at most 200."""
    return [match[1] for match in islice(_SOURCE.finditer(body), _MAX_SOURCES)]


def _hashed(raw: bytes) -> str:
    return str(int.from_bytes(blake2b(raw, digest_size=8).digest(), "big") >> 1)
