"""Text from outside, made fit to be shown and logged where it enters (R17, R96).

Directories, clouds, identity providers, programs and forms give names, labels and reasons. What is in them must not
forge a line, turn the direction of a page, or hide.
"""

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from .secret import Secret

LONGEST = 200
_READ = 20
"""So many characters are looked at for each that is kept: a megabyte from outside must not cost a request."""
_LONGEST_NAME = 320
"""Of what people are called by; RFC 5321 4.5.3.1 lets an address have no more."""
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of controls, of what has no form of its own (bidi, zero-width), and of ends of lines."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters of other categories that show nothing."""
_JOINERS = "\u200c\u200d"
_FIRST_JOINED = "\u0600"
"""Joiners are part of words from the Arabic block on, and of emoji; before it, they only hide."""
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_FIRST_VARIED = "\u2e80"
"""Selectors name the variant of a symbol, an emoji or a Chinese character; after another letter they only hide."""
_BLANKS = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_SPACES = dict.fromkeys(map(ord, "\t\n\v\f\r\x85\u2028\u2029"), " ")
_INSTEAD = "\ufffd"
_NUMBER = re.compile(r"([0-9]+)")
_OPAQUE = re.compile(r"[A-Za-z0-9_~+/=%-]{20,}")
"""So long a run of characters without a break is no word: with a digit in it, it may be a token."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""What a cloud's support asks for."""


def clean(text: str, longest: int = LONGEST) -> str:
    """`text` on one line, normalised (NFC), without what is not seen, at most so many characters.

    Line breaks and tabs become spaces: left out, they would join two words.
    """
    line = text[: _READ * longest].replace("\r\n", " ").translate(_SPACES)
    return _without_unseen(unicodedata.normalize("NFC", line), "")[:longest].strip()


def loggable(text: str, hide: Iterable[Secret] = ()) -> str:
    """`text` fit for the log, without what is to `hide` and without whatever else looks like a token."""
    # All of it on one line first: a secret that is cut or broken would not be found
    text = clean(text, len(text))
    for secret in filter(None, hide):
        for form in (secret.reveal(), quote(secret.reveal(), safe=""), quote_plus(secret.reveal())):
            text = text.replace(form, "***")
    return clean(_OPAQUE.sub(_masked, text))


def looks_like_a_token(word: str) -> bool:
    """Whether `loggable` would mask a part of it."""
    return _OPAQUE.sub(_masked, word) != word


def tidy(text: str) -> str:
    """`text` as it is stored where what is not seen is refused: normalised (NFC), one plain space between words.

    Else "Northwind  Cloud" would stand beside "Northwind Cloud" as another name, and look the same.
    """
    return unicodedata.normalize("NFC", _BLANKS.sub(" ", text.strip()))


def in_order(name: str) -> tuple[tuple[str, int, str], ...]:
    """What names are sorted by, as people read them: without case, and "2" before "10"."""
    # Text and numbers take turns, so that each is compared with its like: a number by its length, then its digits
    pieces = _NUMBER.split(name.casefold())
    return tuple(
        ("", len(piece.lstrip("0")), piece.lstrip("0")) if at % 2 else (piece, 0, "") for at, piece in enumerate(pieces)
    )


def is_clean(text: str) -> bool:
    """True where all of it is seen."""
    return visible(text) == text


def visible(text: str) -> str:
    """`text` with a sign in place of each character that is not seen."""
    return _without_unseen(text, _INSTEAD)


def named(text: str) -> str:
    """A name that decides who is meant, fit to be shown: what is not seen becomes visible.

    Left out, it would make one person's name another's. Nobody can send the sign that stands there (`web/forms.py`).
    """
    return visible(text) if len(text) <= _LONGEST_NAME else f"{visible(text[:_LONGEST_NAME])}…"


def _without_unseen(text: str, instead: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_seen(text, at) else instead for at, c in enumerate(text))


def _is_seen(text: str, at: int) -> bool:
    character = text[at]
    if character in _JOINERS:
        return 0 < at < len(text) - 1 and min(text[at - 1], text[at + 1]) >= _FIRST_JOINED
    if _SELECTORS.fullmatch(character):
        return at > 0 and (text[at - 1] >= _FIRST_VARIED or unicodedata.category(text[at - 1]) == "So")
    return character not in _BLANK and unicodedata.category(character) not in _INVISIBLE


def _masked(found: re.Match[str]) -> str:
    run = found[0]
    is_token = any(character.isdigit() for character in run) and not _ID.fullmatch(run)
    return "***" if is_token else run
