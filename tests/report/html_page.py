"""A page as tests ask about it, and a text that must not get out of hand on one."""

from __future__ import annotations

from html.parser import HTMLParser

HOSTILE = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'


class Page(HTMLParser):
    """Collects what a test asks for: images, scripts, ids, and whatever could load something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.scripts = 0
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.scripts += tag == "script"
        if tag == "img":
            self.images.append(named)
        self.ids += [named["id"]] if named.get("id") else []
        self.loads += [str(value) for key, value in attrs if key in ("src", "srcset", "data", "poster")]
        self.loads += [str(named["href"])] if tag == "link" else []
        self.handlers += [key for key in named if key.startswith("on")]
