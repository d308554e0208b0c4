"""Markdown: what each kind of HTML becomes, and that a parser of Markdown shows the text of the page."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from crawler.parse.main_content import Content
from crawler.parse.markdown import render
from crawler.parse.page import open_shadow_roots, parse, read
from crawler.parse.references import References
from crawler.parse.tokens import tokens_of, unescape

URL = "https://example.org/d/p.html"
LINE = "<tr><td class=blob-num>1</td><td class=blob-code>a</td></tr>"
KATEX = (
    "<span class=katex><span class=katex-mathml><math><annotation encoding='application/x-tex'>x</annotation></math>"
    "</span><span class=katex-html aria-hidden=true><span>x</span></span></span>"
)
SPHINX = (
    "<div class='highlight-python3 notranslate'><div class=highlight><pre><span></span><span class=k>def</span> f\n\n x"
    "</pre></div></div>"
)
DOXYGEN = (
    "<div class=fragment><div class=line><a name=l1></a><span class=lineno><a href=x>  1</a></span>int x;</div>"
    "<div class=line>y</div></div>"
)
PYGMENTS = (
    "<table class=highlighttable><tr><td class=linenos><div class=linenodiv><pre>1\n2</pre></div></td><td class=code>"
    "<div><pre>a\nb</pre></div></td></tr></table>"
)
GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def markdown(html: str, marks: bool = True) -> str:
    tree = read(html.encode())[0]
    open_shadow_roots(tree)
    tokens = tokens_of(tree)
    return render(Content(tokens, [(0, len(tokens))]), References(URL, URL), 1 << 20, marks)[0]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<h2>A <b>b</b> #<a class=headerlink href=#a>¶</a></h2>", "## A **b** \\#"),
        ("<p>a<br>b<br><br>c</p>", "a  \nb\n\nc"),
        ("<ul><li>a<ul><li>b</ul><li><p>c<p>d</ul>", "- a\n  - b\n- c\n\n  d"),
        ("<ol start=9><li>a<li>b<pre>x\n\ny</pre></ol>", "9. a\n10. b\n\n    ```\n    x\n\n    y\n    ```"),
        ("<ul><li>a</ul><ul><li>b</ul>", "- a\n\n* b"),
        ("<ul><li><input type=checkbox checked>a<li><input type=checkbox>b</ul>", "- [x] a\n- [ ] b"),
        ("<blockquote><p>a<p>b</blockquote><p>c", "> a\n>\n> b\n\nc"),
        ("<dl><dt>term <code>x</code><dd>is</dl>", "**term `x`**\n\nis"),
        ("<p>1. a</p><p>- b</p><p># c</p><p>+ d</p><p>&gt; e", "1\\. a\n\n\\- b\n\n\\# c\n\n\\+ d\n\n\\> e"),
        ("&lt;T&gt; * a_b _x_ AT&amp;T &amp;amp; [a](b)", "\\<T> \\* a_b \\_x\\_ AT&T \\&amp; [a\\](b)"),
        ("2<sup>48</sup> H<sub>2</sub>O e<sup>x+1</sup> 1<sup>st</sup>", "2^48 H_2O e^(x+1) 1st"),
        ("a<sup><a href=#fn1>1</a></sup>", f"a[^1]({URL}#fn1)"),
        ("<code>a <a href=/x>b</a></code>", "`a` [`b`](https://example.org/x)"),
        ("<img src=i.png alt='[A]'>", "![\\[A\\]](https://example.org/d/i.png)"),
        ("<a href='x y(z)'><img src=/i></a>", "[![](https://example.org/i)](https://example.org/d/x%20y%28z%29)"),
        ("<a href=u><h3>T</h3><p>t</p></a>", "### [T](https://example.org/d/u)\n\n[t](https://example.org/d/u)"),
        ("<a href='javascript:x'>a</a> <q>b</q> <del>c</del>", "a “b” ~~c~~"),
        ("中文<b>「强调」</b>的 <b>粗</b>体", "中文「强调」的 **粗**体"),
        ("<p dir=rtl>שלום <b>עולם</b></p>", "שלום **עולם**"),
        ("<ruby>漢<rp>(<rt>かん<rp>)</ruby>", "漢(かん)"),
        ("<hr>", "***"),
        ("<p>a</p><iframe src=x><p <a></iframe><p>b</p><noembed><p <b></noembed><p>c", "a\n\nb\n\nc"),
    ],
)  # fmt: skip
def test_what_html_becomes(html: str, expected: str) -> None:
    assert markdown(html) == expected


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (SPHINX, "```python\ndef f\n\n x\n```"),
        ("<pre><code class='hljs language-rust'>a```b</code></pre>", "````rust\na```b\n````"),
        ("<div class='highlight highlight-source-shell'><pre>ls</pre></div>", "```shell\nls\n```"),
        (DOXYGEN, "```\nint x;\ny\n```"),
        (PYGMENTS, "```\na\nb\n```"),
        (f"<table class='highlight js-file-line-container'>{LINE}{LINE}</table>", "```\na\na\n```"),
        ("<pre>a<br>b<button>Copy</button></pre>", "```\na\nb\n```"),
        ("<xmp><b>x</b></xmp>", "```\n<b>x</b>\n```"),
    ],
)  # fmt: skip
def test_code_blocks_of_generators(html: str, expected: str) -> None:
    assert markdown(html) == expected


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<math alttext="x_i^2"><mi>x</mi></math>', "$x_i^2$"),
        ("<math><mi>x</mi><annotation encoding='application/x-tex'>a \\{ b</annotation></math>", "$`a \\{ b`$"),
        ('<math alttext="\\mathbf {y} _{i}"></math>', "$`\\mathbf {y} _{i}`$"),
        ("<math><mi>x</mi><mo>+</mo><mn>1</mn></math>", "x+1"),
        ('<p><script type="math/tex; mode=display">\\frac{a}{b}</script>', "$$\\frac{a}{b}$$"),
        ("<span class='math notranslate'>\\(a_i\\)</span>", "$a_i$"),
        (KATEX, "$x$"),
    ],
)  # fmt: skip
def test_formulas_are_tex(html: str, expected: str) -> None:
    assert markdown(html) == expected


TABLE = (
    "<table><caption>Cap</caption><tr><th>A<th>B<th>C<tr><td colspan=2>ab<td>c|d"
    "<tr><td rowspan=2>r<td><code>x|y</code><td>1<br>2<tr><td>2<td><ul><li>p<li>q</ul></table>"
)


def test_icons_in_links_leave_nothing() -> None:
    icon = "<i class=icon></i>"
    assert markdown(f"<p>a<a href=/x>{icon}</a>b <a href=/y>{icon} Menu</a></p>") == "ab [Menu](https://example.org/y)"
    assert markdown("<p>a<a href=/z><b> c </b></a>d</p>") == "a [**c**](https://example.org/z) d"


def test_tables() -> None:
    assert markdown(TABLE) == (
        "Cap\n\n| A | B | C |\n| --- | --- | --- |\n| ab |  | c\\|d |\n| r | `x\\|y` | 1 2 |\n|  | 2 | • p • q |"
    )
    assert markdown(TABLE, marks=False) == "Cap\nA | B | C\nab |  | c|d\nr | x|y | 1 2\n | 2 | p q"


def test_a_table_with_a_head_stays_one_whatever_simple_blocks_its_cells_have() -> None:
    cell = "<td><h5>a</h5><p>b<p>c<p>d<p>e<pre>f\ng</pre></td><td><ul><li>h<li>i</ul></td>"
    row = markdown(f"<table><tr><th>A<th>B<tr>{cell}</table>").splitlines()[2]
    assert row == "| **a** b c d e `f g` | • h • i |"


def test_items_and_headings_in_a_cell_are_told_from_what_is_beside_them() -> None:
    cell = "<td><h5><b>Speed</b> of play</h5>Set it.</td><td><ol start=3><li>Slow<li>Very <i>fast</i></ol></td>"
    table = f"<table><tr><th>A<th>B<tr>{cell}</table>"
    assert markdown(table).splitlines()[2] == "| **Speed of play** Set it. | 3. Slow 4. Very _fast_ |"


def test_tables_that_arrange_a_page_are_none() -> None:
    html = "<table><tr><td><h2>Left</h2><p>text</td><td><pre>code</pre></td></tr></table>"
    assert markdown(html) == "## Left\n\ntext\n\n```\ncode\n```"


def test_spans_are_bounded() -> None:
    text = markdown("<table>" + "<tr><td colspan=99999>a<td rowspan=99999>b" * 5_000 + "</table>")
    assert len(text) < 500_000


def test_the_text_of_the_same_content_has_the_same_lines_without_marks() -> None:
    html = "<h2>T</h2><p>a <b>b</b> <a href=x>c*</a><ul><li>d</ul><pre>e\n\nf</pre><img src=i alt=x>"
    assert markdown(html, marks=False) == "T\na b c*\n- d\ne\n\nf"


# -- a parser of Markdown shows the text of the page -------------------------------------------------------------------

TEXTS = (
    *("foo", "a", "*", "_", "__", "**", " ", "[", "]", "(", ")", "](", "![", "<T>", "&amp;", "&", "lt;", "`", "``"),
    *("\\", "~", "~~", "#", "# ", "- ", "1.", "1. ", "1) ", "+ ", ">", "|", "---", "===", "\n", "http://x.y/_z_"),
    *("snake_case", "中文", "「」", ".", "!", "$", "^", "[^1]: x", "[a]: b", "[ ]", "    x", "\t", "é", "&#35;", "="),
    *("---|---", ":-|", "~~~", "```", "<!--x", "</p", "<?", "é_", ";", "#3;", "\xa0", "x:", "a@b.c", "www.a.b"),
)
INLINE = ("b", "i", "em", "strong", "code", "a", "del", "font", "span", "u", "kbd")
BLOCKS = (
    *("p", "div", "ul", "ol", "li", "blockquote", "pre", "h1", "h3", "dl", "dt", "dd", "table", "tr", "td", "th"),
    *("section", "br", "hr", "tbody"),
)


def soup(source: random.Random, depth: int = 0) -> str:
    """Some HTML with many characters that mean something in Markdown."""
    parts = []
    for _ in range(source.randint(1, 5)):
        kind = source.random()
        if kind < 0.5 or depth > 5:
            parts.append(source.choice(TEXTS).replace("&", "&amp;").replace("<", "&lt;"))
        else:
            tag = source.choice(INLINE if kind < 0.8 else BLOCKS)
            href = f" href=u{source.randint(0, 9)}#x" if tag == "a" else ""
            parts.append(f"<{tag}{href}>{soup(source, depth + 1)}</{tag}>")
    return "".join(parts)


def flat(text: str) -> str:
    return "".join(text.split())


@given(st.randoms(use_true_random=False).map(soup))
@example("<code>a</code><code>b</code>")
@example("<a href=x><kbd>\\[^1]: x")
@example("<i>a</i><b>b</b><b>c</b>")
@settings(max_examples=300)
def test_a_parser_shows_the_text_of_the_page(html: str) -> None:
    tree = read(html.encode())[0]
    expected = flat("".join(unescape(text) for _, _, text in tokens_of(tree)))
    shown = parse(GFM.render(markdown(html)))
    assert flat(shown.body.text() if shown.body is not None else "") == expected
