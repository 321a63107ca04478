"""Text from outside, made fit to be shown and logged where it enters (R17, R96).

Directories, clouds, identity providers, programs and forms give names, labels and reasons. What is in them must not
forge a line, turn the direction of a page, or hide.
"""

import unicodedata

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
_SPACES = dict.fromkeys(map(ord, "\t\n\v\f\r\x85\u2028\u2029"), " ")
_INSTEAD = "\ufffd"


def clean(text: str, longest: int = LONGEST) -> str:
    """`text` on one line, normalised (NFC), without what is not seen, at most so many characters.

    Line breaks and tabs become spaces: left out, they would join two words.
    """
    line = text[: _READ * longest].replace("\r\n", " ").translate(_SPACES)
    return _without_unseen(unicodedata.normalize("NFC", line), "")[:longest].strip()


def tidy(text: str) -> str:
    """`text` as it is stored where what is not seen is refused: normalised (NFC), without spaces around it."""
    return unicodedata.normalize("NFC", text.strip())


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
    return character not in _BLANK and unicodedata.category(character) not in _INVISIBLE
