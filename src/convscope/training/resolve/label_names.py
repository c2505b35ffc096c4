"""Class names that show labels which a flip or a rotation changes: left and right, angles, characters.

Only names are read here. Without a sign in the names, `resolve.mirror_test` examines the images.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

# (word, what it becomes in a mirror), without accents and in lower case; found within words too: linksabbieger.
LEFT_RIGHT = (
    ("left", "right"), ("leftward", "rightward"), ("port", "starboard"), ("sinistral", "dextral"), ("levo", "dextro"),
    ("clockwise", "counterclockwise"), ("clockwise", "anticlockwise"), ("east", "west"),
    ("links", "rechts"), ("linke", "rechte"), ("linker", "rechter"),
    ("imuhrzeigersinn", "gegendenuhrzeigersinn"), ("imuhrzeigersinn", "gegenuhrzeigersinn"),
    ("izquierda", "derecha"), ("izquierdo", "derecho"), ("izq", "der"), ("este", "oeste"),
    ("gauche", "droite"), ("gauche", "droit"), ("sinistra", "destra"), ("sinistro", "destro"), ("ovest", "est"),
    ("esquerda", "direita"), ("esquerdo", "direito"), ("stanga", "dreapta"),
    ("vanster", "hoger"), ("venstre", "høyre"), ("venstre", "højre"), ("vasen", "oikea"), ("vasemmalle", "oikealle"),
    ("lewo", "prawo"), ("lewa", "prawa"), ("lewy", "prawy"), ("leva", "prava"), ("levy", "pravy"), ("vlevo", "vpravo"),
    ("bal", "jobb"), ("sol", "sag"), ("kiri", "kanan"), ("trai", "phai"),
    ("левыи", "правыи"), ("левая", "правая"), ("лево", "право"), ("влево", "вправо"), ("налево", "направо"),
    ("αριστερα", "δεξια"), ("שמאל", "ימין"), ("يسار", "يمين"),
    ("左", "右"), ("东", "西"), ("東", "西"), ("ひたり", "みき"), ("왼쪽", "오른쪽"), ("좌", "우"),
    ("←", "→"), ("⇐", "⇒"), ("⬅", "➡"), ("↖", "↗"), ("↙", "↘"), ("↰", "↱"), ("↶", "↷"), ("↺", "↻"),
    ("👈", "👉"), ("<", ">"),
)  # fmt: skip
# Found as whole words only.
SHORT_LEFT_RIGHT = (
    ("cw", "ccw"), ("cw", "acw"), ("lh", "rh"), ("lhs", "rhs"), ("lt", "rt"), ("ne", "nw"), ("se", "sw"),
    ("os", "od"), ("ost", "west"), ("est", "ouest"), ("ost", "vest"), ("ost", "vast"), ("oost", "west"),
    ("est", "vest"),
)  # fmt: skip
# Single letters, and the other letters that may stand in their place: with more than these it is an enumeration.
INITIALS = ((("l", "r"), frozenset("lrcmsudfbn")), (("e", "w"), frozenset("news")))
# Found within words where they have at least this number of letters, or where their script sets no spaces.
LONG_WORD = 4
# Of all classes, more than this part must be concerned: a flip helps the others.
LEAST_SHARE = 0.01
MIRRORED = (
    "mirrored", "flipped", "hflip", "fliplr", "gespiegelt", "spiegelverkehrt", "gespiegeld", "reflejad", "specchiat",
    "espelhad", "spejlvend", "spegelvan", "zrcadlov", "зеркальн", "镜像", "鏡像", "反転",
)  # fmt: skip
UP_DOWN = (
    ("up", "down"), ("upward", "downward"), ("top", "bottom"), ("upper", "lower"), ("north", "south"),
    ("oben", "unten"), ("arriba", "abajo"), ("haut", "bas"), ("上", "下"), ("↑", "↓"), ("⬆", "⬇"), ("👆", "👇"),
)  # fmt: skip

CHARACTER_WORDS = frozenset((
    "letter", "letters", "char", "chars", "character", "characters", "digit", "digits", "number", "num", "upper",
    "lower", "uppercase", "lowercase", "capital", "small", "cap", "big", "sign", "glyph", "symbol", "buchstabe",
    "ziffer", "zahl", "lettre", "chiffre", "letra", "cifra", "lettera", "numero",
))  # fmt: skip
NUMBER_WORDS = frozenset((
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "null", "eins", "zwei",
    "drei", "vier", "funf", "fuenf", "sechs", "sieben", "acht", "neun", "zehn", "un", "deux", "trois", "quatre",
    "cinq", "sept", "huit", "neuf", "dix", "cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho",
    "nueve", "diez", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci", "um", "dois",
    "quatro", "sete", "oito", "dez", "nul", "een", "twee", "drie", "zes", "zeven", "negen", "tien",
))  # fmt: skip
# Around the number of an angle, which is a multiple of 5; a name that is a number alone, of ANGLE_STEP.
_ANGLE = re.compile(
    r"(?P<before>rot|rotate|rotated|rotation|angle|ang|turn|turned|deg|degree|degrees|orientation|heading|yaw|azimuth|"
    r"winkel|grad|r)?[\s_:=]*(?P<number>[-+]?\d{1,3})(?:\.0+)?[\s_-]*(?P<after>deg|degree|degrees|grad|°|º|cw|r)?"
)
LABELLED_STEP, ANGLE_STEP = 5, 15
_SYMBOLS = "".join(word for pair in LEFT_RIGHT + UP_DOWN for word in pair if not word.isalnum())
_TOKENS = re.compile(rf"[^\W\d_]+|\d+|[{_SYMBOLS}]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def changed_by_mirror(classes: Sequence[str]) -> str | None:
    """Return why mirrored images would have wrong labels, by the classes' names; None if the names show nothing.

    >>> changed_by_mirror(["left_arrow", "stop", "right-arrow"])
    "by their names a mirror turns 'left_arrow' into 'right-arrow'"
    >>> changed_by_mirror(["letter_b", "letter_d"]), changed_by_mirror(["cat", "dog"])
    ("by their names the classes are characters, such as 'letter_b'", None)
    """
    if are_characters(classes):
        return f"by their names the classes are characters, such as {classes[0]!r}"
    named = [name for name in classes if any(word in "".join(tokens_of(name)) for word in MIRRORED)]
    if _are_enough(len(named), classes):
        return f"by its name {named[0]!r} is a mirror image"
    pairs = [*angles_swapped(classes), *opposites(classes, LEFT_RIGHT, SHORT_LEFT_RIGHT, INITIALS)]
    concerned = {name for pair in pairs for name in pair}
    if not _are_enough(len(concerned), classes):
        return None
    return f"by their names a mirror turns {pairs[0][0]!r} into {pairs[0][1]!r}"


def _are_enough(concerned: int, classes: Sequence[str]) -> bool:
    """Return whether this many of all classes justify turning flips off: "lefteye flounder" is not, among 21,000."""
    return concerned > LEAST_SHARE * len(classes)


def changed_by_turning(classes: Sequence[str]) -> str | None:
    """Return why turned images would have wrong labels, by the classes' names; None if the names show nothing.

    >>> changed_by_turning(["0", "90", "180", "270"]), changed_by_turning(["up", "down"])
    ("by their names a turn makes '0' into '90'", "by their names a turn makes 'up' into 'down'")
    """
    if are_characters(classes):
        return f"by their names the classes are characters, such as {classes[0]!r}"
    angles = [(classes[0], classes[1]) for found in _readings(classes) if len(found) > 1]
    pairs = angles or list(opposites(classes, UP_DOWN + LEFT_RIGHT, SHORT_LEFT_RIGHT, INITIALS))
    concerned = len(classes) if angles else len({name for pair in pairs for name in pair})
    if not _are_enough(concerned, classes):
        return None
    return f"by their names a turn makes {pairs[0][0]!r} into {pairs[0][1]!r}"


def tokens_of(name: str) -> tuple[str, ...]:
    """Return a name's words, numbers and arrows, without accents and in lower case.

    >>> tokens_of("turnLeft_02"), tokens_of("Höger-pil")
    (('turn', 'left', '02'), ('hoger', 'pil'))
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", _CAMEL.sub(" ", name)) if not unicodedata.combining(c))
    return tuple(_TOKENS.findall(unicodedata.normalize("NFC", plain).casefold()))


def are_characters(classes: Sequence[str]) -> bool:
    """Return whether every class is one letter, digit or number word, alone or beside words like "letter".

    >>> are_characters(["A", "b"]), are_characters(["letter_b", "upper_B"]), are_characters(["zero", "one"])
    (True, True, True)
    >>> are_characters(["grade_a", "grade_b"]), are_characters(["10", "11"]), are_characters(["a1", "b7"])
    (False, False, False)
    """
    return all(_is_character(name) for name in classes)


def _is_character(name: str) -> bool:
    if len(name) == 1:
        return True
    rest = [token for token in tokens_of(name) if token not in CHARACTER_WORDS]
    single = sum(len(token) == 1 for token in rest)
    number = sum(token in NUMBER_WORDS for token in rest)
    # "3_three" has one of each; "a1" is two characters, and so a code.
    return bool(rest) and single <= 1 and number <= 1 and single + number == len(rest)


def angles_swapped(classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of classes that are angles of which a mirror makes one into the other.

    >>> next(angles_swapped(["0", "90", "180", "270"])), next(angles_swapped(["rot_-90", "rot_0", "rot_90"]))
    (('90', '270'), ('rot_-90', 'rot_90'))
    >>> list(angles_swapped(["0", "1", "2"])), list(angles_swapped(["0", "180"]))
    ([], [])
    """
    for angles in _readings(classes):
        place = dict(zip(angles, classes, strict=True))
        for angle, name in place.items():
            other = place.get(-angle % 360)
            if other is not None and other != name:
                yield name, other


def _readings(classes: Sequence[str]) -> Iterator[list[int]]:
    """Yield each reading of all names as different angles in degrees, 0 to 359: "-" as a sign, and as a separator."""
    for names in (classes, [name.replace("-", " ") for name in classes]):
        found = [_ANGLE.fullmatch(name.strip().casefold()) for name in names]
        read = [each for each in found if each is not None]
        if len(read) < len(names):
            continue
        values = [int(each["number"]) for each in read]
        labelled = all(each["before"] or each["after"] for each in read)
        step = LABELLED_STEP if labelled else ANGLE_STEP
        if any(value % step or not -180 <= value <= 360 for value in values):
            continue
        angles = [value % 360 for value in values]
        if len(set(angles)) == len(angles) and (labelled or {90, 270} <= set(angles)):
            yield angles


def opposites(
    classes: Sequence[str],
    words: Sequence[tuple[str, str]],
    short: Sequence[tuple[str, str]] = (),
    initials: Sequence[tuple[tuple[str, str], frozenset[str]]] = (),
) -> Iterator[tuple[str, str]]:
    """Yield pairs of classes whose names differ in a word and its opposite alone, in any order of words.

    >>> next(opposites(["arrow_L", "R-arrow", "stop"], LEFT_RIGHT, initials=INITIALS))
    ('arrow_L', 'R-arrow')
    >>> next(opposites(["Linksabbieger", "Rechtsabbieger"], LEFT_RIGHT)), list(opposites(["left", "cleft"], LEFT_RIGHT))
    (('Linksabbieger', 'Rechtsabbieger'), [])
    """
    tokens = {name: tokens_of(name) for name in classes}
    in_any_order = {tuple(sorted(found)): name for name, found in tokens.items()}
    joined = {"".join(found): name for name, found in tokens.items()}
    every = "\n".join(joined)
    for one, other in (*words, *short):
        if one not in every or other not in every:
            continue
        within = (one, other) not in short and (min(len(one), len(other)) >= LONG_WORD or not one.isascii())
        for name, found in tokens.items():
            swapped = tuple(sorted({one: other, other: one}.get(token, token) for token in found))
            there = in_any_order.get(swapped) if swapped != tuple(sorted(found)) else None
            text = "".join(found)
            if there is None and within and (one in text or other in text):
                there = joined.get(_exchanged(text, one, other))
            if there is not None and tokens[there] != found:
                yield name, there
    yield from _initials_swapped(tokens, in_any_order, initials)


def _exchanged(text: str, one: str, other: str) -> str:
    """Return the text with one word for the other and the other way round; a word within its opposite is part of it."""
    swapped = {one: other, other: one}
    longest_first = "|".join(sorted(map(re.escape, swapped), key=len, reverse=True))
    return re.sub(longest_first, lambda found: swapped[found.group()], text)


def _initials_swapped(
    tokens: dict[str, tuple[str, ...]],
    in_any_order: dict[tuple[str, ...], str],
    initials: Sequence[tuple[tuple[str, str], frozenset[str]]],
) -> Iterator[tuple[str, str]]:
    """Pairs of classes that differ in a single letter and its opposite: arrow_l and arrow_r.

    Where other letters take its place too, it is an enumeration: type_l and type_r among type_a to type_z are no sides.
    """
    fillings: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for found in tokens.values():
        for place, token in enumerate(found):
            if len(token) == 1:
                fillings[tuple(sorted((*found[:place], *found[place + 1 :])))].add(token)
    for name, found in tokens.items():
        for (one, other), allowed in initials:
            for place, token in enumerate(found):
                rest = tuple(sorted((*found[:place], *found[place + 1 :])))
                if token != one or not fillings[rest] <= allowed:
                    continue
                there = in_any_order.get(tuple(sorted((*rest, other))))
                if there is not None and there != name:
                    yield name, there
