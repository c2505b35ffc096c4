"""Links within README.md and docs/*.md lead to what is there, and every page is found from the README."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pages

ROOT = Path(__file__).parents[2]
LONG = 300  # lines, above which a page begins with links to its sections
LINKED = [*pages.PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]


@cache
def links(page: Path) -> tuple[str, ...]:
    """The targets of a page's links, but for addresses of the web."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return tuple(target for target in found if "://" not in target)


def anchor(heading: str) -> str:
    """The name of a heading in links: in small letters, with hyphens for blanks, without other signs."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    """The names of a page's headings in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(map(anchor, headings))


def test_links_lead_to_what_is_there() -> None:
    wrong = []
    for page in LINKED:
        for target in links(page):
            name, _, anchor = target.partition("#")
            file = page.parent / name if name else page
            if not file.exists() or (anchor and anchor not in anchors(file)):
                wrong.append(f"{page.name}: {target}")
    assert not wrong, "\n".join(wrong)


def test_every_page_is_found_from_the_readme() -> None:
    found, asked = set(), [ROOT / "README.md"]
    while asked:
        page = asked.pop()
        if page not in found:
            found.add(page)
            targets = ((page.parent / target.partition("#")[0]).resolve() for target in links(page))
            asked += [target for target in targets if target.suffix == ".md" and target.is_file()]
    assert not set(LINKED) - found


def test_a_long_page_begins_with_links_to_its_sections() -> None:
    wrong = []
    for page in pages.PAGES:
        text = page.read_text(encoding="utf-8")
        head, _, rest = text.partition("\n## ")
        if text.count("\n") > LONG:
            linked = re.findall(r"\]\(#([^)\s]+)\)", head.partition("On this page:")[2])
            sections = re.findall(r"^## (.*)$", f"## {rest}", re.MULTILINE)
            wrong += [f"{page.name}: {title}" for title in sections if anchor(title) not in linked]
    assert not wrong, "\n".join(wrong)
