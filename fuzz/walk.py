"""A seeded walk around the corpus, for machines without a fuzzing engine: octets changed, cut, doubled and spliced."""

import random
from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
_WORDS = (
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"%00",
    b"..",
    b"{",
    b"[",
    b'"',
    b"\\",
    b"1e999",
    b"NaN",
    b"-1",
    b"\r\n",
    b"\xe2\x80\xae",
)


def corpus(name: str) -> list[bytes]:
    """The examples of a target: each line of its file, with octets that are no plain text escaped as in Python."""
    lines = (CORPUS / f"{name}.txt").read_text("ascii").split("\n")[:-1]
    return [line.encode("ascii").decode("unicode_escape").encode("latin-1") for line in lines]


def walk(name: str, steps: int, seed: int = 1) -> Iterator[bytes]:
    """First the examples themselves, then `steps` variants; the same ones for the same seed."""
    examples = corpus(name) or [b""]
    yield from examples
    chance = random.Random(f"{name}{seed}")  # noqa: S311 - a walk that can be repeated is the point
    for _ in range(steps):
        data = bytearray(chance.choice(examples))
        for _ in range(chance.randint(1, 6)):
            _change(data, examples, chance)
        yield bytes(data)


def _change(data: bytearray, examples: list[bytes], chance: random.Random) -> None:
    start = chance.randint(0, len(data))
    end = min(len(data), start + chance.randint(0, 9))
    match chance.randrange(6):
        case 0:
            data[start:end] = chance.randbytes(end - start)
        case 1:
            del data[start:end]
        case 2:
            data[start:start] = chance.choice(_WORDS) * chance.choice((1, 1, 2, 300, 2000))
        case 3:
            data[start:end] = data[start:end] * chance.choice((2, 50))
        case 4:
            other = chance.choice(examples)
            data[start:end] = other[: chance.randint(0, len(other))]
        case 5:
            del data[start:]
