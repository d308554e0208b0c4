"""The places of a page that name a URL, as markup: with a target that is there, and with one that is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Markup:
    """One way to name a URL."""

    name: str
    text: str
    """`{url}` is the target from the root, `{absolute}` the same with scheme and host."""
    ending: str = "png"
    """Of the target's path."""
    in_head: bool = False
    line: int = 0
    """On which line of the markup the place is, from 0."""


PLACES: Final = (
    Markup("a", '<a href="{url}">a</a>', "html"),
    Markup("area", '<map name="m"><area href="{url}" alt="a"></map>', "html"),
    Markup("iframe", '<iframe src="{url}"></iframe>', "html"),
    Markup("srcdoc", '<iframe srcdoc="&lt;a href=&quot;{url}&quot;&gt;a&lt;/a&gt;"></iframe>', "html"),
    Markup("img", '<img src="{url}" alt="">'),
    Markup("srcset", '<img srcset="{url} 2x" src="/fine.png" alt="">'),
    Markup("srcset-second", '<img srcset="/fine.png 1x, {url} 2x" src="/fine.png" alt="">'),
    Markup("picture", '<picture><source srcset="{url}"><img src="/fine.png" alt=""></picture>'),
    Markup("input", '<input type="image" src="{url}" alt="go">'),
    Markup("svg-image", '<svg><image href="{url}"/></svg>'),
    Markup("svg-xlink", '<svg><image xlink:href="{url}"/></svg>'),
    Markup("svg-use", '<svg><use href="{url}#icon"/></svg>', "svg"),
    Markup("svg-a", '<svg><a href="{url}"><text>a</text></a></svg>', "html"),
    Markup("video", '<video src="{url}"></video>', "mp4"),
    Markup("audio", '<audio src="{url}"></audio>', "mp4"),
    Markup("source", '<video><source src="{url}"></video>', "mp4"),
    Markup("track", '<video><track src="{url}"></video>', "vtt"),
    Markup("poster", '<video poster="{url}"></video>'),
    Markup("script", '<script src="{url}"></script>', "js"),
    Markup("module", '<script type="module" src="{url}"></script>', "js", in_head=True),
    Markup("stylesheet", '<link rel="stylesheet" href="{url}">', "css", in_head=True),
    Markup("icon", '<link rel="icon" href="{url}">', in_head=True),
    Markup("shortcut", '<link rel="shortcut icon" href="{url}">', in_head=True),
    Markup("touch", '<link rel="apple-touch-icon" href="{url}">', in_head=True),
    Markup("manifest", '<link rel="manifest" href="{url}">', "webmanifest", in_head=True),
    Markup("preload", '<link rel="preload" as="image" href="{url}">', in_head=True),
    Markup("modulepreload", '<link rel="modulepreload" href="{url}">', "js", in_head=True),
    Markup("feed", '<link rel="alternate" type="application/rss+xml" href="{url}">', "xml", in_head=True),
    Markup("next", '<link rel="next" href="{url}">', "html", in_head=True),
    Markup("style", "<style>p.a {{ background: url({url}) }}</style>"),
    Markup("style-lines", '<style>\np.b {{\n  background: url("{url}")\n}}\n</style>', line=2),
    Markup("style-attribute", "<p style=\"background: url('{url}')\">a</p>"),
    Markup("import", '<style>@import "{url}";</style>', "css"),
    Markup("import-url", "<style>@import url({url}) screen;</style>", "css"),
    Markup("font", "<style>@font-face {{ font-family: f; src: url({url}) }}</style>", "woff2"),
    Markup("image-set", '<style>p.c {{ background: image-set("{url}" 1x) }}</style>'),
    Markup("object", '<object data="{url}"></object>'),
    Markup("embed", '<embed src="{url}">'),
    Markup("form", '<form action="{url}"><button>go</button></form>', "html"),
    Markup("formaction", '<form action="/"><button formaction="{url}">go</button></form>', "html"),
    Markup("og-image", '<meta property="og:image" content="{absolute}">', in_head=True),
    Markup("twitter", '<meta name="twitter:image" content="{absolute}">', in_head=True),
    Markup("background", '<table background="{url}"><tr><td>a</td></tr></table>'),
    # the same in odd spellings
    Markup("unquoted", "<a href={url}>a</a>", "html"),
    Markup("single-quotes", "<a href='{url}'>a</a>", "html"),
    Markup("capitals", '<A HREF="{url}">a</A>', "html"),
    Markup("spaces", '<a href="  {url}\n ">a</a>', "html"),
    Markup("second-line", '<p>\n<a\n  href="{url}">a</a>', "html", line=1),
    Markup("after-comment", '<!-- a\ncomment -->\n<a href="{url}">a</a>', "html", line=2),
    Markup(
        "after-script",
        '<script>\nif (a < b) {{ "<a href=\'/never\'>" }}\n</script><a href="{url}">a</a>',
        "html",
        line=2,
    ),
    Markup("absolute", '<a href="{absolute}">a</a>', "html"),
    Markup("protocol-relative", '<a href="{relative}">a</a>', "html"),
    Markup("dots", '<a href="x/../..{url}">a</a>', "html"),
    Markup("noscript", '<noscript><img src="{url}" alt=""></noscript>'),
    Markup("download", '<a href="{url}" download>a</a>', "pdf"),
    Markup("nofollow", '<a rel="nofollow" href="{url}">a</a>', "html"),
)
