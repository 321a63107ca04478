"""Every error has a code for programs and a sentence for people."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from chalicelib.domain import authorization_request, errors
from chalicelib.domain.errors import VaultError

assert authorization_request  # its errors count too


def descendants(error: type[VaultError]) -> Iterator[type[VaultError]]:
    yield error
    for child in error.__subclasses__():
        yield from descendants(child)


ERRORS = list(descendants(VaultError))


def test_codes_are_unique() -> None:
    assert [code for code, count in Counter(error.code for error in ERRORS).items() if count > 1] == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_the_error_has_a_code_and_a_sentence_of_its_own(error: type[VaultError]) -> None:
    assert "code" in vars(error)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert re.fullmatch(r"[A-Z].*\.", error.message)


def test_all_errors_of_the_product_are_seen() -> None:
    assert {name for name, value in vars(errors).items() if isinstance(value, type)} >= {
        error.__name__ for error in ERRORS if error.__module__ == errors.__name__
    }
