"""The studio's page as one file: the same modules through an import map of data: URLs, the styles inside. No torch.

A page at file:// can't load module files, and a relative import has no base in a data: URL. The modules therefore
import each other by the names of the import map (`convscope/atlas`), and the map alone says where they are.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from urllib.parse import quote

from convscope.files.checked import parse_json
from convscope.studio.protocol import StudioError

OF_TRAIN = frozenset({"train.css"})  # styles of a room that is not in an offline page
COURSE_ENTRY = "convscope/learn/static_page"
COURSE_SHEETS = ("base.css", "train.css", "learn/learn.css", "learn/course.css")  # Train's frames charts in Learn too
OWN = "convscope/"  # begins the names of our modules
TRANSPORT = "convscope/transport"  # the module that asks the server; `offline.js` replaces it
_IMPORTED = re.compile(r"""(?:\bfrom|\bimport)\s*["']([^"'\n]+)["']""")
# By a path are only the types in comments.
_LATER = re.compile(r"""\bimport\(\s*["']([^."'\n][^"'\n]*)["']\s*\)""")
_MAP = re.compile(r'<script\b[^>]*type="importmap"[^>]*>(.*?)</script>', re.DOTALL)
_ENTRY = re.compile(r'<script\b(?=[^>]*type="module")[^>]*\bsrc="([^"]+)"[^>]*>\s*</script>')
_LINK = re.compile(r"[ \t]*<link\b[^>]*>\n?")
_HREF = re.compile(r'\bhref="([^"]+)"')
_CHARSET = re.compile(r'<meta charset="[^"]*"\s*/?>', re.IGNORECASE)
_TITLE = re.compile(r"<title>.*?</title>", re.DOTALL)
_POLICY = re.compile(r'[ \t]*<meta http-equiv="Content-Security-Policy"[^>]*>\n?')
# What a data: URL may hold as it is, in a JSON string in a script element; spaces stay legible.
_PLAIN = " !$&'()*+,-./:;=?@_~[]{}|^`"

POLICY = (
    "default-src 'none'; script-src {scripts} data:; style-src {styles}; img-src data: blob:; connect-src 'none'; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class PageParts:
    """The studio's page: its markup, its style sheets, and its modules by the names that they import each other by."""

    markup: str
    styles: str
    modules: Mapping[str, str]
    entry: str

    def as_one_file(self, *, title: str, about: Mapping[str, object], answers: bytes) -> str:
        """Return the page as one file that sends no request: it holds `answers`, and `about` them what to say."""
        styles = self.styles.replace("</", "<\\/")
        addresses = {name: data_url(source) for name, source in self.modules.items()}
        imports = json.dumps({"imports": addresses}, separators=(",", ":"))
        policy = POLICY.format(scripts=_hashed(imports), styles=_hashed(styles))
        # The transport is evaluated before every module that asks for something.
        start = f'import "{TRANSPORT}";import "{self.entry}";'
        told = json.dumps(dict(about), ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
        inside = "\n".join(
            (
                f'<script type="application/json" id="offline-page">{told}</script>',
                f'<script type="text/plain" id="offline-answers">{base64.b64encode(answers).decode()}</script>',
                f'<script type="module" src="{data_url(start)}"></script>',
            )
        )
        page = _POLICY.sub("", self.markup)
        head = f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">'
        for pattern, put in (
            (_CHARSET, head),
            (_TITLE, f"<title>{escape(title)}</title>\n<style>{styles}</style>"),
            (_MAP, f'<script type="importmap">{imports}</script>'),
            (_ENTRY, ""),
        ):
            found = pattern.search(page)
            assert found is not None, f"index.html has nothing like {pattern.pattern}"
            page = page[: found.start()] + put + page[found.end() :]
        before, body, after = _LINK.sub("", page).rpartition("</body>")
        assert body, "index.html has no </body>"
        return f"{before}{inside}\n{body}{after}"


@cache
def page_parts() -> PageParts:
    """Return the parts of the studio's page that Explore is made of, read from the package.

    Raises:
        StudioError: the package's files of the page are not whole.
    """
    return parts_of(_static_files())


@cache
def course_parts() -> PageParts:
    """Return the parts of a page that is the room Learn alone, read from the package.

    Raises:
        StudioError: the package's files of the page are not whole.
    """
    return parts_of(_static_files(), entry=COURSE_ENTRY, sheets=COURSE_SHEETS, later=True)


def parts_of(
    files: Mapping[str, bytes], *, entry: str = "", sheets: Sequence[str] = (), later: bool = False
) -> PageParts:
    """Return the parts of a page whose files are given by their places below `static`, `index.html` among them.

    Args:
        files: the bytes of each file.
        entry: the module that starts the page, by its name in the import map; that of `index.html` unless given.
        sheets: the style sheets; those of `index.html` unless given, without Train's.
        later: whether modules are taken that are imported when they are needed (`import("convscope/train")`); in
            Explore they are of other rooms.

    Raises:
        StudioError: a file is missing, or a module imports another by a path.
    """
    markup = _text(files, "index.html")
    found_map, found_entry = _MAP.search(markup), _ENTRY.search(markup)
    if found_map is None or found_entry is None:
        raise StudioError("index.html has no import map or no module: install convscope again", "internal")
    names = _modules(parse_json(found_map[1])["imports"], files)
    entry = entry or next((name for name, file in names.items() if file == _file_name(found_entry[1])), "")
    if entry not in names:
        raise StudioError(f"the import map does not name {found_entry[1]}: install convscope again", "internal")
    styles = "\n".join(_text(files, sheet) for sheet in sheets or _sheets_of(markup))
    modules: dict[str, str] = {}
    wanted = [entry]
    while wanted:
        name = wanted.pop()
        if name in modules:
            continue
        file = "offline.js" if name == TRANSPORT else names.get(name, f"{name.removeprefix(OWN)}.js")
        modules[name] = _text(files, file)
        for imported in [*_IMPORTED.findall(modules[name]), *(_LATER.findall(modules[name]) if later else ())]:
            if imported.startswith("."):
                raise StudioError(f"{name} imports {imported} by a path: import it by its name", "internal")
            if imported in names or imported.startswith(OWN):
                wanted.append(imported)
    return PageParts(markup=markup, styles=styles, modules=modules, entry=entry)


def data_url(source: str) -> str:
    """Return a module as a data: URL that can stand in JSON and in an attribute.

    >>> data_url('export const half = "50 %";')
    'data:text/javascript;charset=utf-8,export const half = %2250 %25%22;'
    """
    return "data:text/javascript;charset=utf-8," + quote(source, safe=_PLAIN)


def _static_files() -> dict[str, bytes]:
    """Return the files below `static` by their places in it."""
    root = resources.files("convscope.studio").joinpath("static")
    folders = [("", root), *((f"{place.name}/", place) for place in root.iterdir() if place.is_dir())]
    return {
        f"{above}{place.name}": place.read_bytes()
        for above, folder in folders
        for place in folder.iterdir()
        if place.is_file()
    }


def _modules(imports: Mapping[str, str], files: Iterable[str]) -> dict[str, str]:
    """Return the file of each module by the name that others import it by; a name that ends in "/" is a folder's.

    >>> _modules({"lit": "/static/vendor/lit.js", "convscope/": "/static/"}, ["base.css", "learn/room.js"])
    {'lit': 'vendor/lit.js', 'convscope/learn/room': 'learn/room.js'}
    """
    found: dict[str, str] = {}
    for name, address in imports.items():
        place = _file_name(address)
        if name.endswith("/"):
            below = (file.removeprefix(place) for file in files if file.startswith(place) and file.endswith(".js"))
            found |= {name + file.removesuffix(".js"): place + file for file in below}
        else:
            found[name] = place
    return found


def _sheets_of(markup: str) -> list[str]:
    """Return the style sheets that index.html links, without Train's."""
    found = (_HREF.search(link) for link in _LINK.findall(markup) if 'rel="stylesheet"' in link)
    names = [_file_name(href[1]) for href in found if href]
    return [name for name in names if name not in OF_TRAIN]


def _file_name(address: str) -> str:
    """Return the place below `static` of what an address of index.html names."""
    return address.removeprefix("/static/")


def _text(files: Mapping[str, bytes], name: str) -> str:
    try:
        # A newline is one character for the hash that the browser takes of what it has parsed.
        return files[name].decode("utf-8").replace("\r\n", "\n")
    except KeyError:
        raise StudioError(f"the page's file {name} is missing: install convscope again", "internal") from None


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
