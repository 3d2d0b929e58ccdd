"""The file that a cell is said to be in while it is debugged: its name is a hash of its source, as Jupyter has it."""

from __future__ import annotations

from typing import Final

HASH_METHOD: Final = "Murmur2"
HASH_SEED: Final = 0x5EED
SUFFIX: Final = ".py"

_FACTOR: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def name_cell(prefix: str, code: str) -> str:
    """The path of the cell with this source; those of all cells of a kernel begin with the prefix."""
    return f"{prefix}{hash_text(code, HASH_SEED)}{SUFFIX}"


def hash_text(text: str, seed: int) -> int:
    """Austin Appleby's MurmurHash2, in 32 bits, of text in UTF-8."""
    data = text.encode("utf-8", "surrogatepass")
    whole = len(data) & ~3
    value = (seed ^ len(data)) & _MASK
    for position in range(0, whole, 4):
        word = int.from_bytes(data[position : position + 4], "little") * _FACTOR & _MASK
        word = (word ^ (word >> 24)) * _FACTOR & _MASK
        value = (value * _FACTOR & _MASK) ^ word
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * _FACTOR & _MASK
    value = (value ^ (value >> 13)) * _FACTOR & _MASK
    return value ^ (value >> 15)
