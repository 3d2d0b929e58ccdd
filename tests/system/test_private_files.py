"""Files that are their owner's alone, and never half written."""

import os
import stat

import pytest

from rpyc_kernel.system.private_files import write_private


@pytest.fixture
def path(tmp_path):
    return tmp_path / "secret.json"


def test_a_file_is_its_owners_alone_whatever_stood_there(path):
    path.write_text("public")
    path.with_suffix(".new").write_text("left over")
    os.chmod(path.with_suffix(".new"), 0o644)
    write_private(path, b"mine")
    assert path.read_bytes() == b"mine"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_no_link_that_stands_there_leads_elsewhere(path, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("not to be touched")
    for name in (path, path.with_suffix(".new")):
        name.symlink_to(elsewhere)
    write_private(path, b"mine")
    assert elsewhere.read_text() == "not to be touched"
    assert not path.is_symlink()


def test_what_is_to_last_is_on_the_disk_and_so_is_its_name(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((os.fstat(fd).st_ino, path.exists())))
    write_private(path, b"mine", is_lasting=True)
    assert synced == [(path.stat().st_ino, False), (path.parent.stat().st_ino, True)]


def test_where_it_cannot_be_written_what_was_there_stays(path, monkeypatch):
    def fail(fd):
        raise OSError(28, "No space left on device")

    write_private(path, b"before")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"after", is_lasting=True)
    assert path.read_bytes() == b"before"
    assert os.listdir(path.parent) == [path.name]
