"""Text that nobody could send or record is refused, and it is said where it goes wrong."""

import pytest

from rpyc_kernel.core.texts import require_encodable
from rpyc_kernel.errors import BadCode, RequestError


@pytest.mark.parametrize("text", ["", "x = 1", "\N{SNOWMAN} \U0001f40d", "\x00"])
def test_what_can_be_encoded_passes(text):
    require_encodable(text, "it")


def test_a_lone_surrogate_is_refused_with_its_place():
    with pytest.raises(RequestError, match="the name has a lone surrogate at character 2, which no encoding can carry"):
        require_encodable("ab\ud800", "the name")
    with pytest.raises(BadCode):
        require_encodable("\udfff", "the code", BadCode)
