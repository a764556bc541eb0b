"""Mutants of valid bytes: what transport, storage and hostile senders make of them."""

from collections.abc import Sequence
from random import Random

_STEPS_MAX = 4
_SPLICED = 0.1
_BYTES_MAX = 4096
# Ends of ranges, lengths that lie, text that is no text, and numbers that parsers disagree about.
_PIECES = (
    b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff\x0f", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xc3\x28", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"{" * 60, b"[" * 60, b'{"a":' * 40, b"}", b"]", b'"', b",",
    b"=", b"|", b"\r\n", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 30, b"18446744073709551616",
    b"0.1", b"\xef\xbb\xbf", b"\xd9\xa3", b"v1=", b"t=1,", b'"amount":1,', b"\x00\x00\x00\x00\x01",
)  # fmt: skip


def mutant_of(samples: Sequence[bytes], random: Random) -> bytes:
    """One of `samples` after one to four changes, of at most 4,096 bytes."""
    value = bytearray(random.choice(samples))
    for _ in range(random.randint(1, _STEPS_MAX)):
        random.choice(_CHANGES)(value, random.randint(0, len(value)), random)
    if random.random() < _SPLICED:
        other = random.choice(samples)
        value[random.randint(0, len(value)) :] = other[random.randint(0, len(other)) :]
    return bytes(value[:_BYTES_MAX])


def _flip_bit(value: bytearray, at: int, random: Random) -> None:
    if at < len(value):
        value[at] ^= 1 << random.randrange(8)


def _set_byte(value: bytearray, at: int, random: Random) -> None:
    value[at : at + 1] = bytes((random.randrange(256),))


def _insert(value: bytearray, at: int, random: Random) -> None:
    value[at:at] = random.choice(_PIECES)


def _overwrite(value: bytearray, at: int, random: Random) -> None:
    piece = random.choice(_PIECES)
    value[at : at + len(piece)] = piece


def _cut_out(value: bytearray, at: int, random: Random) -> None:
    del value[at : at + random.randint(1, 16)]


def _cut_off(value: bytearray, at: int, _random: Random) -> None:
    del value[at:]


def _repeat(value: bytearray, at: int, random: Random) -> None:
    value[at:at] = value[at : at + 64] * random.randint(1, 8)


_CHANGES = (_flip_bit, _set_byte, _insert, _overwrite, _cut_out, _cut_off, _repeat)
