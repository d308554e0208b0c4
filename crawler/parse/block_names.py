"""What the attributes of a block say about it: content, something else, or hidden. Pure.

Names are those that site generators and themes use. They are judged word by word: `class="post-share left"` has the
words post, share and left.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from crawler.parse.tokens import names, value_of

NOTHING, CONTENT, OTHER, SECONDARY, HIDDEN = range(5)
"""No hint; the content; something else; something else that often wraps a whole page, too, like a sidebar; hidden."""

_OTHER: Final = names(
    "nav navbar navheader navfooter navbuttons navi navigation subnav topnav menu submenu menubar"
    " breadcrumb breadcrumbs crumb crumbs pathway pagination pager pagenav pagenavi paging paginator"
    " prevnext nextprev share sharing shares sharedaddy sharebar social socials addthis addtoany shariff"
    " whatsapp linkedin pinterest follow related recommend recommended recommendation recommendations"
    " similar teaser teasers promo promos promotion trending popular mostread latest outbrain taboola"
    " readmore more also carousel slider newsletter subscribe subscription signup login signin register"
    " registration search searchform ad ads adv advert adverts advertisement advertising anzeige werbung"
    " sponsor sponsored sponsors banner cookie cookies consent gdpr popup modal overlay lightbox tooltip"
    " captcha widget widgets toolbar toolbox tools tagcloud tags taglist tag keywords categories"
    " meta metadata postmeta byline dateline timestamp published submitted author authors bio biography"
    " caption credits credit copyright imprint impressum disclaimer legal noprint printfooter rating"
    " ratings stars vote votes likes like print printer feedback skip skiplink skiplinks topbar masthead"
    " logo branding dropdown offcanvas hamburger jump navbox catlinks editsection cart basket wishlist"
)
_SECONDARY: Final = names(
    "comment comments commentlist respond reply replies disqus discussion trackback trackbacks pingback"
    " sidebar sidebars aside rail footer sphinxsidebar"
)
_CONTENT: Final = names(
    "article-body articlebody article__body article-content article__content article-text articletext"
    " body-content entry-content entrycontent post-content postcontent post-body postbody post-entry"
    " post-text post__content story-body storybody story-content content-body contentbody page-content"
    " main-content maincontent node-content mw-parser-output markdown-body rst-content theme-doc-markdown"
    " entry post_content article_body article-main field-name-body td-post-content blog-content"
    " news-content newstext hentry rustdoc-main"
)
_OTHER_ROLES: Final = names(
    "navigation banner contentinfo complementary search dialog alertdialog alert menu menubar toolbar tablist"
)
_STATES: Final = (
    *("has-", "is-", "js-", "no-", "with-", "without-", "tag-", "category-", "label-", "type-", "col-", "field--"),
    *("elementor-", "post-type", "status-", "format-", "wp-block", "hide-", "show-", "page-", "single-", "theme-"),
)
_ATTRIBUTE = re.compile(r' (hidden|style|popover)(?:="([^"]*)")?')
_MAY_HIDE = re.compile(r" (?:hidden|style|popover)")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SECTION = re.compile(r"\b(?:section|sect\d|level\d|topic|chapter|part|[a-z]+-level-extent)\b")
_UNSEEN: Final = names("d-none sr-only visually-hidden visuallyhidden screen-reader-text v-visible-sr")
"""Classes of what no one sees, in Bootstrap, HTML5 Boilerplate, WordPress and Stacks."""
_SEEN_ELSEWHERE = re.compile(r"(?:^|\s)(?:d-(?!none)|\w+:d-|d-\w+-)")
"""Beside `d-none`: on some screens it is shown."""
_DISPLAY_NONE = re.compile(r"display\s*:\s*none", re.IGNORECASE)


@lru_cache(maxsize=8_192)
def judge(attributes: str, is_section: bool = False) -> int:
    """The verdict on a block (a `section`?) with these *attributes*, as they are written in its tag."""
    if _MAY_HIDE.search(attributes) and _is_hidden(dict(_ATTRIBUTE.findall(attributes[:2_000]))):
        return HIDDEN
    role = (value_of(attributes, "role") or "").lower() if "role=" in attributes else ""
    if role in _OTHER_ROLES:
        return OTHER
    if role in ("main", "article") or ' itemprop="articleBody"' in attributes:
        return CONTENT
    classes, own_id = value_of(attributes, "class") or "", value_of(attributes, "id") or ""
    if is_section or own_id.count("-") > 1 or _SECTION.search(classes):
        own_id = ""  # of a manual: the words of its heading
    if not _UNSEEN.isdisjoint(classes.split()) and not _SEEN_ELSEWHERE.search(classes):
        return HIDDEN
    verdicts = set(map(_of_name, f"{classes} {own_id}"[:2_000].split()))
    return next((verdict for verdict in (CONTENT, SECONDARY, OTHER) if verdict in verdicts), NOTHING)


@lru_cache(maxsize=16_384)
def _of_name(name: str) -> int:
    """What one class or id says."""
    if name.startswith(_STATES):
        return NOTHING
    if name.lower() in _CONTENT:
        return CONTENT
    words = {word.lower() for word in _WORD.findall(name)}
    if not words.isdisjoint(_SECONDARY):
        return SECONDARY
    return NOTHING if words.isdisjoint(_OTHER) else OTHER


def _is_hidden(found: dict[str, str]) -> bool:
    if "style" in found and _DISPLAY_NONE.search(found["style"]):
        return True
    return ("hidden" in found and found["hidden"].lower() != "until-found") or "popover" in found
