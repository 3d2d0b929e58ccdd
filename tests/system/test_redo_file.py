import pytest

from rpyc_kernel.system.redo_file import RedoFile, read_redo


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def redo(journal):
    redo = RedoFile(journal)
    yield redo
    redo.close()


def make_row(seq, payload="{}"):
    return seq, 1.5, "stream", None, "a", payload, 1, 16


def test_what_was_noted_last_is_found(journal, redo):
    assert redo.note([make_row(7, '{"text": "é\\ud800"}'), make_row(8)])
    assert redo.note([make_row(9)])
    assert read_redo(journal, 8) == [make_row(9)]


@pytest.mark.parametrize("last", [0, 5, 7, 8, 9])
def test_only_what_follows_the_journal_is_found(journal, redo, last):
    assert redo.note([make_row(7), make_row(8)])
    assert read_redo(journal, last) == []


def test_of_what_was_written_in_part_nothing_is_found(journal, redo):
    assert redo.note([make_row(1)])
    file = journal.with_name("journal.sqlite.redo")
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert read_redo(journal, 0) == []
    file.write_bytes(whole)
    assert read_redo(journal, 0) == [make_row(1)]


def test_much_is_not_noted(journal, redo):
    assert not redo.note([make_row(1, "x" * 20_000)])


def test_what_a_disk_refuses_is_not_noted(journal, tmp_path):
    assert not RedoFile(tmp_path / "missing" / "journal.sqlite").note([make_row(1)])


def test_nothing_is_found_once_it_is_closed(journal, redo):
    assert redo.note([make_row(1)])
    redo.close(is_needed=True)
    assert read_redo(journal, 0) == [make_row(1)]
    redo.close()
    assert read_redo(journal, 0) == []
