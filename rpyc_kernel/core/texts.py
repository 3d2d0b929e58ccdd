"""Text from anywhere: Python has some that no encoding can carry, so that it could be neither sent nor recorded."""

from __future__ import annotations

from rpyc_kernel.errors import RequestError


def require_encodable(text: str, what: str, error: type[RequestError] = RequestError) -> None:
    """Raise an error of this class, which calls the text ``what``, where it has a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError as failure:
        raise error(
            f"{what} has a lone surrogate at character {failure.start}, which no encoding can carry; remove it"
        ) from None
