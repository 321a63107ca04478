"""Fields of forms and query strings, strictly: known, once, UTF-8, not too many, not too long."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import parse_qsl

from chalicelib.domain.errors import InvalidForm, InvalidRequest, TooLarge

FORM_TYPE = "application/x-www-form-urlencoded"
MAX_BODY = 16 * 1024
MAX_API_BODY = 64 * 1024
MAX_URL = 4 * 1024
MAX_CALLBACK = 9 * 1024
"""Codes of 4 kB exist. API Gateway refuses more than 10,240 bytes of request line and header fields together."""
MAX_FIELDS = 50
MAX_SEARCH = 128
"""Characters of one text that is looked for."""


@dataclass(frozen=True, slots=True)
class Fields:
    """What was sent, checked. `one` is for fields that must be there, `text` for those that may be missing."""

    values: dict[str, list[str]] = field(default_factory=dict)

    def one(self, name: str) -> str:
        if name not in self.values:
            raise InvalidRequest("A field of the form is missing. Please go back and try again.")
        return self.values[name][0]

    def text(self, name: str) -> str:
        return self.values.get(name, [""])[0]

    def searched(self, name: str, label: str, longest: int = MAX_SEARCH) -> str:
        """What was typed to be looked for, without spaces around it. Raises InvalidRequest where it is too long."""
        text = self.text(name).strip()
        if len(text) > longest:
            raise InvalidRequest(f"“{label}” can have at most {longest} characters.", parameter=name)
        return text

    def all(self, name: str) -> list[str]:
        return self.values.get(name, [])


class Problems:
    """Collects what is wrong with the fields of one form, so that a person is told of all of it at once."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    @contextmanager
    def noted(self) -> Iterator[None]:
        """What is refused in here does not end the reading of the form."""
        try:
            yield
        except InvalidForm as error:
            self._found |= {name: sentence for name, sentence in error.problems.items() if name not in self._found}

    def add(self, name: str, sentence: str) -> None:
        self._found.setdefault(name, sentence)

    def check(self) -> None:
        """Raises InvalidForm if anything was found."""
        if self._found:
            raise InvalidForm(self._found)


def lines(text: str) -> list[str]:
    """The entries of a field that takes one a line, each once."""
    return list(dict.fromkeys(filter(None, map(str.strip, text.splitlines()))))


def day(text: str) -> date | None:
    """What a field for a day holds, None for an empty one. Raises InvalidRequest."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidRequest("A day is written like 2026-11-23. Please go back and try again.") from None


def parse_form(body: bytes, allowed: Collection[str], repeatable: Collection[str]) -> Fields:
    """A form's body. Raises TooLarge, or InvalidRequest for unknown, repeated or undecodable fields."""
    if len(body) > MAX_BODY:
        raise TooLarge
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict")
    except ValueError:
        raise InvalidRequest from None
    if any(name not in allowed and name not in repeatable for name, _ in pairs):
        raise InvalidRequest("The form has a field that the vault does not know. Nothing was changed.")
    return _collect(pairs, repeatable)


def parse_parameters(body: bytes, allowed: Collection[str]) -> Fields:
    """What a program sent: the known ones of its parameters, each once; others are ignored (RFC 6749 3.2)."""
    if len(body) > MAX_API_BODY:
        raise TooLarge
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict")
    except ValueError:
        raise InvalidRequest from None
    if len(pairs) > MAX_FIELDS:
        raise TooLarge
    return _collect([pair for pair in pairs if pair[0] in allowed], ())


def parse_query(
    pairs: Iterable[tuple[str, str]], allowed: Collection[str], repeatable: Collection[str], longest: int = MAX_URL
) -> Fields:
    """The known ones of already decoded query parameters; others are ignored (RFC 6749 3.1, 4.1.2)."""
    every = list(pairs)
    if sum(len(name.encode()) + len(value.encode()) + 2 for name, value in every) > longest:
        raise TooLarge(f"What follows the question mark in an address can have at most {longest:,} bytes.")
    return _collect([pair for pair in every if pair[0] in allowed or pair[0] in repeatable], repeatable)


def _collect(pairs: list[tuple[str, str]], repeatable: Collection[str]) -> Fields:
    if len(pairs) > MAX_FIELDS:
        raise TooLarge
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in values and name not in repeatable:
            raise InvalidRequest("A field was sent twice. Nothing was changed.", parameter=name)
        # U+FFFD stands where the gateway could not decode
        if "\0" in value or "\ufffd" in value:
            raise InvalidRequest("A field has a character that is not allowed. Nothing was changed.", parameter=name)
        values.setdefault(name, []).append(value)
    return Fields(values)
