"""Detects pages whose shape may take a parser more than linear time. Pure.

Such shapes are thousands of attributes in a tag, elements that stay open, endless new names, comments after the body.
Normal pages are checked only by samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_FEW: Final = 8_192
"""With this number of tags no shape takes long, whatever it is..."""
_SOME: Final = 1_024
"""... and with this number none takes long if most are closed."""
_UNCLOSED: Final = 512
_STEP: Final = 8_192
_LARGE: Final = 131_072
"""From this size in bytes on, a quarter of the samples is enough."""
_SAMPLE: Final = 512
"""Bytes that are examined of every _STEP."""
_MANY_NAMES: Final = 150
"""Names among the samples that no ordinary page has."""
_DEEP: Final = 100
"""Elements among the samples that are not closed."""
_MIN_END_TAGS: Final = 64
"""End tags among the samples that count for elements opened elsewhere."""
_MANY_ATTRIBUTES: Final = 4_000
"""Attributes of one tag that take no time yet."""
_MANY_COMMENTS: Final = 4_096

# HTML 13.2.5.8 to 13.2.5.40: quotes mean something only after `=`.
_VALUE: Final = rb"""(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\t\n\f\r >"'][^\t\n\f\r >]*+)?+"""
_GIVEN: Final = rb"(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+" + _VALUE + rb")?+"
_ATTRIBUTE: Final = rb"[^\t\n\f\r />][^\t\n\f\r />=]*+" + _GIVEN
_REST: Final = rb"(?:[\t\n\f\r /]++|" + _ATTRIBUTE + rb")*+"
TOKEN = re.compile(
    rb"<(?:!--(?:-?>|.*?(?:--!?>|\Z))|[!?][^>]*+>?|/(?![a-zA-Z])[^>]*+>?"
    rb"|(/?)([a-zA-Z][^\t\n\f\r />]*+)" + _REST + rb"(>|\Z))",
    re.DOTALL,
)
# Text, and tags of few attributes that change nothing for what follows them.
_SHORT_TAGS = re.compile(
    rb"(?:[^<]++|<(?!(?:script|style|textarea|title|xmp|iframe|noembed|noframes|svg|math)[\t\n\f\r />])"
    rb"/?[a-zA-Z][^\t\n\f\r />]*+(?:[\t\n\f\r /]++|" + _ATTRIBUTE + rb"){0,200}+>)*+",
    re.IGNORECASE,
)
ATTRIBUTE = re.compile(_ATTRIBUTE)
_SAMPLED = re.compile(rb"<(/?[a-zA-Z][^\t\n\f\r />]*)")
_SAMPLED_TAG = re.compile(rb"<[a-zA-Z][^\t\n\f\r />]*+[\t\n\f\r /]++([^<>]*+)")
_GIVEN_VALUE = re.compile(rb""""[^"]*+"|'[^']*+'|=[^\t\n\f\r "'>]++""")
# The rest of a long tag, from each of the states that a parser may be in within it: what comes first in it, within
# quotes and without.
_TAG_ENDS = tuple(
    re.compile(start + _REST + b">", re.DOTALL)
    for start in (rb"[^\t\n\f\r />=]*+" + _GIVEN, rb"[\t\n\f\r ]*+" + _VALUE, rb"[^\t\n\f\r >]*+")
)
_DOUBLE_END, _SINGLE_END = (re.compile(b"[^%b]*+%b%b>" % (sign, sign, _REST), re.DOTALL) for sign in (b'"', b"'"))
_UNQUOTED_END = re.compile(rb"</?[a-zA-Z0-9]++(?:>|[\t\n\f\r ]++(?!=)" + _REST + b">)", re.DOTALL)
"""The end in each state without quotes, if it is the same: after what looks like a tag."""
_BEFORE_VALUE: Final = b"=\t\n\f\r "
_BODY_END = re.compile(rb"</(?:body|html)[\t\n\f\r />]", re.IGNORECASE)
_SEPARATOR = re.compile(rb"""(?:[\t\n\f\r /]|(?<!=)["'])[^\t\n\f\r />]""")
"""The beginning of an attribute; it may follow the previous value without a space."""


def names(text: str) -> frozenset[bytes]:
    """The names in *text*, with spaces between."""
    return frozenset(name.encode() for name in text.split())


VOID: Final = names(
    "area base basefont bgsound br col embed frame hr image img input keygen link meta param source track wbr"
)
RAW: Final = names("script style textarea title xmp iframe noembed noframes")
_IMPLIED: Final = names(
    "p li dd dt option optgroup tr td th tbody thead tfoot colgroup caption rt rp rb rtc html head body"
)
"""Elements whose end tags may be missing."""
FOREIGN: Final = names("svg math")
RAW_ENDS: Final = {name: re.compile(rb"</%b(?=[\t\n\f\r />])" % name, re.IGNORECASE) for name in RAW}
CLOSED: Final = VOID | _IMPLIED
"""Elements that are closed by what follows them, if not by themselves."""

_QUOTED: Final = rb"""(?:[\t\n\f\r ]++[\w:.-]++=(?:"[^"<>]*+"|'[^'<>]*+'|\w++(?=[\t\n\f\r ]))){0,200}+[\t\n\f\r ]*+"""
"""Attributes whose values have quotes, or end before a space: a slash behind them is none of their characters."""
_SHAPES: Final = rb"<(?:path|polygon|polyline|line|circle|ellipse|rect|use|image|stop)" + _QUOTED + b"/>"
_WORDS: Final = rb"|".join(rb"<%b%b>[^<>]*+</%b>" % (name, _QUOTED, name) for name in (b"text", b"tspan", b"title"))
_GROUP: Final = rb"<g" + _QUOTED + rb">(?:[^<>]++|" + _SHAPES + rb"|" + _WORDS + rb"|%b)*+</g>"
_GROUPS: Final = _GROUP.replace(b"%b", _GROUP.replace(b"%b", _GROUP.replace(b"|%b", b"")))
_DRAWING: Final = re.compile(
    rb"<svg" + _QUOTED + rb">(?:[^<>]++|" + _SHAPES + rb"|" + _WORDS + rb"|" + _GROUPS + rb")*+</svg>"
)
"""A drawing of which all elements are closed, by a slash or by an end tag of its own."""
_CLOSED_TAG: Final = re.compile(rb"<([a-z]++)([^<>]*+)(?<=/)>")


def is_costly(html: bytes) -> bool:
    """Whether parsing *html*, UTF-8, may take more than linear time."""
    return _seems_costly(html) and (b"<svg" not in html or _seems_costly(_with_ends(html)))


def _with_ends(html: bytes) -> bytes:
    """*html* with an end tag for each element of its drawings that a slash closes, as one does only in svg."""
    parts, done = list[bytes](), 0
    for match in _tags(html):
        if match.re is _DRAWING:
            parts += (html[done : match.start()], _CLOSED_TAG.sub(rb"<\1\2></\1>", match[0]))
            done = match.end()
    return b"".join((*parts, html[done:]))


def _seems_costly(html: bytes) -> bool:
    if len(html) <= 2 * _STEP:  # nothing this short takes long
        return False
    if _has_long_tag(html):
        return True
    tags, unclosed = _estimate(html)
    if tags > _FEW and (_is_odd(html, _SAMPLE, _DEEP) or _has_comments_at_its_end(html)):
        return True
    may_be = tags < 2 * _FEW and unclosed > max(_UNCLOSED // 2, tags // 8)
    return may_be and _has_many_unclosed(html) and _is_odd(html, _STEP, _UNCLOSED)


def _has_long_tag(html: bytes) -> bool:
    """Whether a tag may have thousands of attributes: no state within a tag would end before the next step.

    A step that is all within one value has no attributes, and scripts have none: if one seems to be there, tags are
    read.
    """
    attributes = script = script_end = seen = 0
    double = single = -1  # the last quotes so far
    is_suspect = False
    for start in range(_STEP, len(html) - _STEP + 1, _STEP):
        stop = start + _STEP
        at = max(html.find(b"<", start, stop), start)
        double = max(double, html.rfind(b'"', start - _STEP, at))
        single = max(single, html.rfind(b"'", start - _STEP, at))
        if (
            (_UNQUOTED_END.match(html, at, stop) or all(end.match(html, at, stop) for end in _TAG_ENDS))
            and (not _may_open_value(html, double) or _DOUBLE_END.match(html, at, stop))
            and (not _may_open_value(html, single) or _SINGLE_END.match(html, at, stop))
        ):
            attributes = 0
            continue
        script = max(script, html.rfind(b"<script", seen, start))
        script_end = max(script_end, html.rfind(b"</script", seen, start))
        seen = start - _STEP
        if script > script_end:
            is_suspect = True
            continue
        attributes += len(_SEPARATOR.findall(html, start, stop))
        if attributes > _MANY_ATTRIBUTES:
            return True
    return is_suspect and _has_many_attributes(html)


def _may_open_value(html: bytes, quote: int) -> bool:
    """Whether an attribute's value may begin with the *quote* there: only if it follows `=`."""
    return quote > 0 and html[quote - 1] in _BEFORE_VALUE


def _has_many_attributes(html: bytes) -> bool:
    """Whether a tag has thousands of attributes, by reading all tags. In svg and MathML scripts contain tags too."""
    for match in _tags(html):
        start, end = match.span()
        is_long = match.re is TOKEN and end - start > _MANY_ATTRIBUTES
        if is_long and len(_SEPARATOR.findall(html, start, end)) > _MANY_ATTRIBUTES:
            return True
    return False


def _tags(html: bytes) -> Iterator[re.Match[bytes]]:
    """The tags that matter, and whole drawings. Short tags that change nothing for what follows are passed over."""
    at, is_raw = 0, True
    while (at := _SHORT_TAGS.match(html, at).end()) < len(html):  # type: ignore[union-attr]
        match = (_DRAWING.match(html, at) if is_raw else None) or TOKEN.match(html, at)
        at = match.end() if match else at + 1
        if match is None or (match.re is TOKEN and match[2] is None):
            continue
        yield match
        if match.re is _DRAWING:
            continue
        name = match[2].lower()
        is_raw = is_raw and name not in FOREIGN
        if is_raw and name in RAW and not match[1]:
            found = RAW_ENDS[name].search(html, at)
            at = found.start() if found else len(html)


def _samples(html: bytes) -> range:
    """Where the samples begin: no page can predict that, since each process hashes differently."""
    step = _STEP if len(html) < _LARGE else 4 * _STEP
    return range(hash(html[:64]) % (step - _SAMPLE), len(html), step)


def _count(html: bytes, mark: bytes) -> list[int]:
    """How often *mark* is in each sample."""
    count = html.count
    return [count(mark, at, at + _SAMPLE) for at in _samples(html)]


def _each(html: bytes) -> int:
    """How many bytes of the page each byte of its samples represents."""
    return _samples(html).step // _SAMPLE


def _estimate(html: bytes) -> tuple[int, int]:
    """About how many tags there are, and the most that are open at once, including those that need no end tag."""
    each = _each(html)
    tags = _count(html, b"<")
    total = sum(tags) * each
    if total <= _SOME // 2:
        return total, 0
    unclosed = most = 0
    for here, ends in zip(tags, _count(html, b"</"), strict=True):
        unclosed = max(unclosed + here - 2 * ends, 0)
        most = max(most, unclosed)
    return total, most * each


def _has_many_unclosed(html: bytes) -> bool:
    tags = html.count(b"<")
    return tags > _SOME and tags - 2 * html.count(b"</") > _UNCLOSED


def _has_comments_at_its_end(html: bytes) -> bool:
    """Whether many comments follow the body: a parser inserts the text between them into the body piece by piece."""
    if sum(_count(html, b"<!--")) * _each(html) <= _MANY_COMMENTS // 2:
        return False
    found = _BODY_END.search(html)
    return found is not None and html.count(b"<!--", found.start()) > _MANY_COMMENTS


def _is_odd(html: bytes, size: int, deep: int) -> bool:
    """Whether samples of *size* bytes show more than *deep* elements that are not closed, or endless new names."""
    still_open: dict[bytes, int] = {}
    attributes: set[bytes] = set()
    samples = _samples(html) if size == _SAMPLE else range(0, len(html), size)
    for number, start in enumerate(samples):
        sample = html[start : start + size]
        for name in _SAMPLED.findall(sample.lower()):
            if name[:1] == b"/":
                name = name[1:]
                count = still_open.get(name, 0)
                if count > -_MIN_END_TAGS:
                    still_open[name] = count - 1
            elif name not in CLOSED:
                still_open[name] = still_open.get(name, 0) + 1
        if number % (8 * _STEP // samples.step) == 0:
            attributes.update(b" ".join(_SAMPLED_TAG.findall(_GIVEN_VALUE.sub(b" ", sample))).split())
        unclosed = sum([n for n in still_open.values() if n > 0])
        if unclosed > deep or max(len(still_open), len(attributes)) > _MANY_NAMES:
            return True
    return False
