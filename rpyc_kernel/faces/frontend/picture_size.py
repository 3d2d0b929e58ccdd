"""How large a picture says that it is, before anything of it is read."""

from __future__ import annotations

import struct

_PNG, _GIF, _JPEG = b"\x89PNG\r\n\x1a\n", b"GIF8", b"\xff\xd8"
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def find_size(content: bytes) -> tuple[int, int]:
    """Width and height of a PNG, GIF or JPEG by its beginning; (0, 0) if it is none of them.

    Not left to what draws it. Qt goes by content: a drawing that is called a picture would have its files read; and it
    would ask a buffer of Python's, which wants the interpreter's lock while it holds locks of its own. Pillow warns of
    what is large, and reads it.
    """
    try:
        if content.startswith(_PNG):
            return struct.unpack_from(">II", content, 16)
        if content.startswith(_GIF):
            return struct.unpack_from("<HH", content, 6)
        place = 2 if content.startswith(_JPEG) else len(content)
        while content[place] == 0xFF:
            kind, length = struct.unpack_from(">xBH", content, place)
            if kind in _JPEG_FRAMES:
                height, width = struct.unpack_from(">HH", content, place + 5)
                return width, height
            place += 1 if kind == 0xFF else 2 + length
    except (struct.error, IndexError):
        pass
    return 0, 0
