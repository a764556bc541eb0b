"""The share of the hindsight optimum as bars, in SVG."""

from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 300, 50, 30
_LOWEST = 0.8
_COLOURS = {"online": "#3b6ea5", "in_person": "#d98b2b"}


def bars(shares: Mapping[tuple[str, str], Sequence[float]]) -> str:
    """`shares`: (supply, mode) -> one share for each seed. A bar is the mean, a dot is a seed."""
    supplies = list(dict.fromkeys(supply for supply, _ in shares))
    floor = _HEIGHT - 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        '<g font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="18">students served, as a share of the hindsight optimum</text>',
    ]
    for tick in (0.8, 0.85, 0.9, 0.95, 1.0):
        y = _y(tick, floor)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.0%}</text>')
    for group, supply in enumerate(supplies):
        x = _LEFT + 30 + group * 190
        parts.append(f'<text x="{x + 65}" y="{floor + 18}" text-anchor="middle">{supply}</text>')
        for place, (mode, colour) in enumerate(_COLOURS.items()):
            each = shares[supply, mode]
            y, left = _y(sum(each) / len(each), floor), x + place * 70
            parts.append(f'<rect x="{left}" y="{y:.1f}" width="60" height="{floor - y:.1f}" fill="{colour}"/>')
            parts += [f'<circle cx="{left + 30}" cy="{_y(one, floor):.1f}" r="3" fill="#222"/>' for one in each]
    for place, (mode, colour) in enumerate(_COLOURS.items()):
        left = _LEFT + 380 + place * 90
        parts.append(f'<rect x="{left}" y="9" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{left + 14}" y="18">{mode.replace("_", "-")}</text>')
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _y(share: float, floor: int) -> float:
    return floor - (max(share, _LOWEST) - _LOWEST) / (1 - _LOWEST) * (floor - _TOP)
