# ruff: noqa: E501 - a payload stands on one line
"""Markup of strangers, as data: where they can write it, and what must stay readable of it; and what would be dangerous
in a page. For every test that shows such a page to a parser or to a browser.

Each letter says words of its own (`MARK` and more) that a reader must see. In a browser nothing may have called
`window.alert`, set `window.seized`, or asked another host.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import Header
from html.parser import HTMLParser

MARK = "LISIBLE"
ELSEWHERE = "mechant.example"

PAYLOADS: tuple[str, ...] = (
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "<img src=x onerror=window.seized=1>",
    "<svg onload=alert(1)>",
    "<svg><script href=data:,alert(1) />",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<iframe srcdoc='<script>parent.seized=1</script>'>",
    "<details open ontoggle=alert(1)>",
    "<a href=javascript:alert(1)>ici</a>",
    "<div hx-get=/sortir hx-trigger=load>",
    "<form action=https://mechant.example><button formaction=javascript:alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "${alert(1)}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "<!--<script>--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "\u202egpj.<script>alert(1)</script>",
    "＜script＞alert(1)＜/script＞",
)
"""For whatever is one line of text: a subject, a name, a file's name, a field of the directory."""

HTML: dict[str, str] = {
    "script": "<p>{m}</p><script>alert(1)</script>",
    "script-split": "<p>{m}</p><scr<script>ipt>alert(1)</scr</script>ipt>",
    "handler": '<p onclick="alert(1)" onmouseover=alert(1)>{m}</p>',
    "handler-slash": "<img/src=x/onerror=alert(1)>{m}",
    "handler-line": "<img src=x onerror\n=\nalert(1)>{m}",
    "body-onload": "<body onload=alert(1)>{m}</body>",
    "link-script": '<a href="javascript:alert(1)">{m}</a>',
    "link-entity": '<a href="&#106;avascript:alert(1)">{m}</a>',
    "link-tab": '<a href="java\tscript:alert(1)">{m}</a>',
    "link-line": '<a href="&#10;javascript:alert(1)">{m}</a>',
    "link-control": '<a href="\x01javascript:alert(1)">{m}</a>',
    "link-data": '<a href="data:text/html,<script>alert(1)</script>">{m}</a>',
    "link-vbscript": '<a href="vbscript:msgbox(1)">{m}</a>',
    "link-case": '<a href="JaVaScRiPt:alert(1)">{m}</a>',
    "link-lies": '<a href="https://mechant.example/x">https://banque.example {m}</a>',
    "link-quote": "<a href='https://mechant.example/\" onmouseover=\"alert(1)'>{m}</a>",
    "style": "<style>@import 'https://mechant.example/x.css'; body {display: none}</style><p>{m}</p>",
    "style-attribute": '<p style="background:url(https://mechant.example/x);position:fixed;inset:0">{m}</p>',
    "style-expression": '<p style="width:expression(alert(1))">{m}</p>',
    "picture-far": '<img src="https://mechant.example/suivi.gif" alt="{m}">',
    "picture-svg": '<img src="data:image/svg+xml,<svg onload=alert(1)>" alt="{m}">',
    "svg": "<svg><animate onbegin=alert(1) attributeName=x dur=1s></svg><p>{m}</p>",
    "svg-script": "<svg><script>alert(1)</script></svg><p>{m}</p>",
    "svg-mutation": '<svg></p><style><a id="</style><img src=1 onerror=alert(1)>"></svg><p>{m}</p>',
    "math-mutation": "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src onerror=alert(1)&gt;'></table></mtext></math><p>{m}</p>",
    "noscript": '<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript><p>{m}</p>',
    "template": "<template><script>alert(1)</script></template><p>{m}</p>",
    "iframe": "<iframe src=\"javascript:alert(1)\"></iframe><iframe srcdoc='<script>alert(1)</script>'></iframe><p>{m}</p>",
    "object": "<object data='data:text/html,<script>alert(1)</script>'></object><embed src=javascript:alert(1)><p>{m}</p>",
    "form": '<form action="https://mechant.example"><input name=mot autofocus onfocus=alert(1)><p>{m}</p><button>Valider</button></form>',
    "form-token": '<form method=post action="/sortir"><button>{m}</button></form>',
    "meta": '<meta http-equiv=refresh content="0;url=https://mechant.example"><p>{m}</p>',
    "base": '<base href="https://mechant.example/"><p>{m}</p><a href="/boite">x</a>',
    "htmx": '<div hx-get="https://mechant.example" hx-trigger="load" data-hx-on:load="alert(1)">{m}</div>',
    "identifier": '<p id="session" class="alert" name="token">{m}</p><div id="main">x</div>',
    "comment": "<!-- <script>alert(1)</script> --><![if IE]><script>alert(1)</script><![endif]><p>{m}</p>",
    "unclosed": "<p>{m}</p></div></section></main><footer>x<script",
    "plaintext": "<p>{m}</p><plaintext><script>alert(1)</script>",
    "xmp": "<xmp><script>alert(1)</script></xmp><p>{m}</p>",
    "details": "<details open ontoggle=alert(1)><summary>{m}</summary></details>",
    "video": "<video><source onerror=alert(1)></video><audio src=x onerror=alert(1)></audio><p>{m}</p>",
    "marquee": "<marquee onstart=alert(1)>{m}</marquee>",
    "deep": "<div>" * 500 + "<p>{m}</p>",
    "table": '<table onclick=alert(1)><tr><td colspan="9999999" onclick=alert(1)>{m}</td></tr></table>',
    "nul": "<p>{m}</p><scr\x00ipt>alert(1)</scr\x00ipt>",
    "utf-7": "<p>{m}</p>+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "xml-pi": "<?xml-stylesheet href='javascript:alert(1)'?><p>{m}</p>",
}
"""Bodies of mails; `{m}` is the word that must be read."""

NARRATIVE: dict[str, str] = {
    "link": '<paragraph><linkHtml href="javascript:alert(1)">{m}</linkHtml></paragraph>',
    "link-data": '<paragraph><linkHtml href="data:text/html,&lt;script&gt;alert(1)&lt;/script&gt;">{m}</linkHtml></paragraph>',
    "html": '<paragraph><script xmlns="http://www.w3.org/1999/xhtml">alert(1)</script>{m}</paragraph>',
    "iframe": "<paragraph><iframe src='javascript:alert(1)'/>{m}</paragraph>",
    "escaped": "<paragraph>{m} &lt;script&gt;alert(1)&lt;/script&gt; &lt;img src=x onerror=alert(1)&gt;</paragraph>",
    "cdata": "<paragraph>{m} <![CDATA[<script>alert(1)</script>]]></paragraph>",
    "attributes": "<paragraph onclick='alert(1)' styleCode='Bold&quot; onclick=&quot;alert(1)'>{m}</paragraph>",
    # A hole of the HL7 stylesheet itself (2014): attributes of tables were copied as they came
    "table": "<table onmouseover='alert(1)' width='100%'><tbody><tr><td onclick='alert(1)' colspan='2'>{m}</td></tr></tbody></table>",
    # Its other one: a picture's address and a nonXMLBody's reference were followed
    "picture": "<paragraph>{m}<renderMultiMedia referencedObject='javascript:alert(1)'/></paragraph>",
    "list": "<list listType='ordered' onclick='alert(1)'><caption>{m}</caption><item><content styleCode='xPre\"&gt;'>x</content></item></list>",
    "svg": '<paragraph><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>{m}</paragraph>',
}
"""Narrative blocks of a CDA section."""


@dataclass(frozen=True)
class Hostile:
    name: str
    raw: bytes
    words: tuple[str, ...]
    """What must be read: in the letter or in what it encloses."""


def letters(to: str, cda_model: bytes | None = None) -> Iterator[Hostile]:
    """Every payload, in each place of a letter. `cda_model`: a CDA whose body is replaced."""
    for number, payload in enumerate(PAYLOADS):
        yield _letter(
            f"line-{number}", to, f"{{m}}subject {payload}", f"{{m}}author {payload}", f"{{m}}file {payload}.txt",
            f"{{m}}text {payload}",
        )  # fmt: skip
    for name, html in HTML.items():
        yield _letter(f"html-{name}", to, html=html)
    if cda_model is not None:
        for name, block in NARRATIVE.items():
            yield _letter(f"cda-{name}", to, document=(cda_model, block))


def _letter(
    name: str, to: str, subject: str = "Essai", author: str = "Auteur", file: str = "", text: str = "Bonjour",
    *, html: str = "", document: tuple[bytes, str] | None = None,
) -> Hostile:  # fmt: skip
    word = f"{MARK}{name.replace('-', '')}"
    places = (subject, author, file, text, html, document[1] if document else "")
    subject, author, file, text, html, block = (each.replace("{m}", word) for each in places)
    parts = [_part("text/html", html) if html else _part("text/plain", text)]
    parts += [_part("text/plain", "joint", file)] if file else []
    parts += [_part("text/xml", written(document[0], block), "cda.xml")] if document else []
    head = f"From: {_word(author)} <auteur@{ELSEWHERE}>\r\nTo: <{to}>\r\nSubject: {_word(subject)}\r\n"
    head += (
        f"Message-ID: <{name}@{ELSEWHERE}>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=hostile\r\n"
    )
    body = "".join(f"--hostile\r\n{part}\r\n" for part in parts)
    words = re.findall(rf"{word}(?:subject|author|file|text)?", " ".join((subject, author, file, text, html, block)))
    return Hostile(name, f"{head}\r\n{body}--hostile--\r\n".encode(), tuple(words))


def _word(text: str) -> str:
    return Header(text, "utf-8", maxlinelen=400).encode(linesep="\r\n")


def _part(kind: str, content: str, file: str = "") -> str:
    named = ""
    if file:
        quoted = "".join(f"%{octet:02X}" for octet in file.encode())
        named = f"Content-Disposition: attachment; filename*=utf-8''{quoted}\r\n"
    data = base64.encodebytes(content.encode()).decode().replace("\n", "\r\n")
    return f"Content-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n{named}\r\n{data}"


def written(model: bytes, block: str) -> str:
    """The model with a body of one section: this narrative, under a title with markup."""
    section = f"<section><title>&lt;script&gt;alert(1)&lt;/script&gt;</title><text>{block}</text></section>"
    body = f"<component><structuredBody><component>{section}</component></structuredBody></component>"
    text, count = re.subn(r"<component>.*</component>", lambda _: body, model.decode(), flags=re.DOTALL)
    assert count == 1
    return text


# --- what would be dangerous in a page ------------------------------------------------------------------------------

_OURS = {"/static/htmx.min.js"}
_HTMX = {("hx-get", "/session"), ("hx-trigger", "every 60s"), ("hx-swap", "innerHTML")}
_ELEMENTS = frozenset({
    "html", "head", "meta", "title", "link", "body", "a", "header", "p", "span", "div", "form", "input", "button",
    "nav", "ul", "ol", "li", "main", "footer", "section", "h1", "h2", "h3", "h4", "h5", "h6", "dl", "dt", "dd",
    "table", "caption", "thead", "tbody", "tr", "th", "td", "strong", "em", "u", "sub", "sup", "del", "ins", "br",
    "pre", "blockquote", "details", "summary", "figure", "img", "script", "label",
})  # fmt: skip
"""All that the pages of a mailbox are made of."""
_META = {"viewport", "htmx-config", ""}


class Dangers(HTMLParser):
    """Names what could run, load or send something that we did not write."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _ELEMENTS:
            self.found.append(f"element {tag}")
        named = {name: value or "" for name, value in attrs}
        if tag == "script" and named.get("src") not in _OURS:
            self.found.append("script")
        if tag == "meta" and ("http-equiv" in named or named.get("name", "") not in _META):
            self.found.append("meta")
        for name, value in named.items():
            self._attribute(tag, name, value)

    def _attribute(self, tag: str, name: str, value: str) -> None:
        plain = re.sub(r"[\x00-\x20]", "", value).lower()
        if name.startswith("on") or name in ("style", "srcdoc", "formaction", "srcset", "background"):
            self.found.append(f"attribute {name}")
        if name.startswith(("hx-", "data-hx")) and (name, value) not in _HTMX:
            self.found.append(f"attribute {name}")
        if name in ("src", "action") and not value.startswith("/"):
            self.found.append(f"{name} {value}")
        if name in ("src", "action", "href") and value.startswith("//"):
            self.found.append(f"{name} {value}")
        if name == "href" and not plain.startswith(("/", "#", "https://", "http://", "mailto:")):
            self.found.append(f"href {value}")


def dangers(page: str, frame: str = "") -> list[str]:
    """What must not stand in a page that shows something of a stranger; empty where all is well. `frame`: a page of
    ours that shows nothing of anybody: what stands in it too is not a stranger's."""
    ours = Counter(_found(frame)) if frame else Counter[str]()
    return list((Counter(_found(page)) - ours).elements())


def _found(page: str) -> list[str]:
    parser = Dangers()
    parser.feed(page)
    parser.close()
    return parser.found


def words(page: str) -> str:
    """What a reader reads."""
    parser = _Words()
    parser.feed(page)
    parser.close()
    return " ".join("".join(parser.said).split())


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.said: list[str] = []

    def handle_data(self, data: str) -> None:
        self.said.append(data)
