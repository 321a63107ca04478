"""The benchmark's bars as SVG, without any library: CPU of the vault, of its floor and of peers, job by job."""

from collections.abc import Iterator, Sequence
from html import escape

from .harness import Job, Measured

_WIDTH, _LEFT, _BAR, _GAP, _HEAD = 760, 190, 18, 4, 30
_VAULT, _OTHER = "#0f6cbd", "#9aa5b1"


def svg(jobs: Sequence[Job]) -> str:
    """Bars on one scale; what was not measured has none."""
    longest = max(value.cpu for one in jobs for _, value in _bars(one))
    parts: list[str] = []
    top = 0
    for one in jobs:
        parts.append(_text(10, top + 20, one.name, bold=True))
        top += _HEAD
        for name, value in _bars(one):
            parts += _bar(top, name, value, (_WIDTH - _LEFT - 80) / longest)
            top += _BAR + _GAP
        top += 10
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}">'
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{top}" fill="#ffffff"/>', *parts, "</svg>"]) + "\n"


def _bars(one: Job) -> Iterator[tuple[str, Measured]]:
    for name, value in (("Token Vault", one.vault), ("floor", one.floor), *one.peers.items()):
        if isinstance(value, Measured):
            yield name, value


def _bar(top: int, name: str, value: Measured, scale: float) -> list[str]:
    width, colour = value.cpu * scale, _VAULT if name == "Token Vault" else _OTHER
    return [
        _text(10, top + 14, name),
        f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>',
        _text(_LEFT + width + 6, top + 14, f"{value.cpu:.1f} ms"),
    ]


def _text(x: float, y: float, words: str, *, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" font-family="sans-serif" font-size="13"{weight}>{escape(words)}</text>'
