import pytest

from rpyc_kernel.wire.cell_files import HASH_SEED, SUFFIX, hash_text, name_cell


@pytest.mark.parametrize("text", ["", "a", "ab", "abc", "abcd", "é = '€'\n", "x" * 1001])
def test_cells_are_hashed_as_jupyter_does(text):
    compiler = pytest.importorskip("ipykernel.compiler")
    for seed in (0, HASH_SEED, 0xC70F6907):
        assert hash_text(text, seed) == compiler.murmur2_x86(text, seed)


def test_the_hash_is_what_it_was():
    assert [hash_text(text, 0xC70F6907) for text in ("", "hello", "hello world")] == [
        0xEDD39288,
        0xC4FFFFFD,
        0xD2DB6039,
    ]


def test_a_cell_has_the_same_file_whenever_it_has_the_same_source():
    assert name_cell("/somewhere/cell-", "a = 1") == name_cell("/somewhere/cell-", "a = 1")
    assert name_cell("/somewhere/cell-", "a = 1") != name_cell("/somewhere/cell-", "a = 2")
    assert name_cell("/somewhere/cell-", "\ud800").endswith(SUFFIX)
