"""How often the language of a text is found: on Debian's translated manual pages and guides. `make bench-language`.

Each text is cut to 1,500, 300 and 120 characters. Many translations are English in part: where "the" stands often, a
text is left out.
"""

from __future__ import annotations

import gzip
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from html import unescape
from typing import Final

from benchmarks import docs, report
from benchmarks.measure import load
from benchmarks.site import SiteError
from crawler.parse.language import language_of

PAGES: Final = (
    *(
        "cs",
        "da",
        "de",
        "el",
        "es",
        "fi",
        "fr",
        "hu",
        "it",
        "ja",
        "nb",
        "nl",
        "pl",
        "pt-br",
        "ro",
        "ru",
        "sr",
        "sv",
        "tr",
    ),
    *("uk", "vi", "zh"),
)
GUIDE: Final = "installation-guide-amd64"
MOST: Final = 60
LENGTHS: Final = (1500, 300, 120)
_MIN: Final = 900
_MAX_THE: Final = 4
_CODE = re.compile(r"^[.'].*\n?|\\f(?:\[[^]]*\]|\(..|.)|\\[a-z*].?", re.MULTILINE)
_SIGN = re.compile(r"\\(?:\[[^]]*\]|\(..|.)")
_MARKUP = re.compile(r"<(script|style|pre).*?</\1>|<[^>]*>", re.DOTALL)


def texts() -> dict[str, list[str]]:
    """Some texts of each language."""
    found: dict[str, list[str]] = {}
    for language, text in [*_manual_pages(), *_guides()]:
        sample = text[300:1800]
        if len(text) > _MIN and (language == "en" or sample.lower().split().count("the") < _MAX_THE):
            found.setdefault(language, []).append(sample)
    dice = random.Random(3)
    for own in found.values():
        dice.shuffle(own)
    return {language: own[:MOST] for language, own in sorted(found.items()) if len(own) >= 5}


def _manual_pages() -> Iterator[tuple[str, str]]:
    for name in PAGES:
        root = docs.fetched(docs.Package(f"manpages-{name}", "usr/share/man"))
        for path in sorted(root.rglob("*.gz")):
            language = path.relative_to(root).parts[0].partition("_")[0]
            if path.is_file() and re.fullmatch("[a-z]{2}", language):
                source = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
                yield language, " ".join(_SIGN.sub("", _CODE.sub("", source.replace("\\-", "-"))).split())


def _guides() -> Iterator[tuple[str, str]]:
    root = docs.fetched(docs.Package(GUIDE, f"usr/share/doc/{GUIDE}"))
    for path in sorted(root.rglob("*.html")):
        language = path.relative_to(root).parts[0].partition("_")[0]
        source = path.read_text("utf-8", "replace") if path.is_file() else ""
        yield language, " ".join(unescape(_MARKUP.sub("", source)).split())


def main() -> int:
    """Score the detector."""
    print(report.machine(load()))
    try:
        found = texts()
    except SiteError as error:
        print(error, file=sys.stderr)
        return 2
    total = sum(map(len, found.values()))
    print(f"\n{total} texts in {len(found)} languages: {', '.join(found)}\n")
    print("| characters | right | none | wrong | ms |\n|--:|--:|--:|--:|--:|")
    for length in LENGTHS:
        began = time.process_time()
        got = [(language, language_of(text[:length])) for language, own in found.items() for text in own]
        took = 1000 * (time.process_time() - began) / total
        verdicts = Counter("right" if tag == want else "none" if tag is None else "wrong" for want, tag in got)
        shares = " | ".join(f"{100 * verdicts[verdict] / total:.1f}%" for verdict in ("right", "none", "wrong"))
        print(f"| {length:,} | {shares} | {took:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
