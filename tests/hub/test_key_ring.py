"""Who is invited, until when, and what is left of it when a hub or a kernel ends."""

import json
import logging
import os
import re
import stat

import pytest

from rpyc_kernel.errors import RequestError
from rpyc_kernel.hub import key_ring
from rpyc_kernel.hub.key_ring import KeyRing
from rpyc_kernel.wire.keys import Grant, Key

DAY_S = 86400.0
OWN = Key(b"the kernel's own")
ASK = "ask the owner for another one"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "invitations.json"


@pytest.fixture
def ring(path, clock):
    return KeyRing(OWN, path, clock)


@pytest.fixture
def refuse_disk(monkeypatch):
    """Lets no file be put on the disk, until it is called with False."""

    def change(refuses):
        def fail(fd):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail if refuses else lambda fd: None)

    return change


def problem_with(ring, key):
    found = ring.find(key.id)
    assert found is not None
    assert found[0] == key
    return found[1].problem


def test_an_invitation_holds_until_it_expires_by_the_hubs_clock(ring, clock):
    given, key = ring.invite("viewer", "ann", 2 * 3600.0, values=False)
    assert (given.role, given.name, given.values, given.expires) == ("viewer", "ann", False, clock.now + 7200.0)
    clock.now += 7199.0
    assert ring.find(key.id) == (key, Grant(key.id, "viewer", "ann", False))
    assert ring.ended() == set()
    clock.now += 1.0
    assert ring.ended() == {key.id}
    assert problem_with(ring, key) == (
        "this invitation of 'ann' expired on 2027-01-15 10:00:00 UTC (by the kernel's clock it is 2027-01-15 10:00:00 "
        f"UTC); {ASK}"
    )
    clock.now += DAY_S  # a hub's clock that is off by a day: who is kept out sees by which
    assert "expired on 2027-01-15 10:00:00 UTC (by the kernel's clock it is 2027-01-16" in problem_with(ring, key)


def test_an_invitation_without_an_end_holds_until_it_is_revoked(ring, clock):
    given, key = ring.invite("editor", "", None, values=False)
    assert given.name == f"editor-{given.id[:4]}"
    assert given.values  # who runs code sees all there is
    clock.now += 1000 * DAY_S
    assert problem_with(ring, key) == ""
    assert ring.revoke(given.id)[0].revoked == clock.now
    assert problem_with(ring, key) == f"this invitation of {given.name!r} was revoked on 2029-10-11 08:00:00 UTC; {ASK}"
    clock.now += 1.0
    assert ring.revoke(given.id)[0].revoked == clock.now - 1.0


def test_the_kernels_own_key_gives_everything_for_ever(ring, clock):
    clock.now += 10_000 * DAY_S
    assert ring.find("") == (OWN, Grant("", "owner", "", True))
    with pytest.raises(RequestError, match="there is no invitation ''"):
        ring.revoke("")


def test_no_two_invitations_are_alike(ring):
    made = [ring.invite("viewer", "ann", None, values=False) for _ in range(20)]
    assert len({given.id for given, _ in made}) == len({key.secret for _, key in made}) == 20
    assert ring.invitations() == [given for given, _ in made]
    assert {len(key.secret) for _, key in made} == {32}


def test_invitations_outlive_a_hub_and_their_file_is_their_owners_alone(ring, path, clock):
    kept, key = ring.invite("viewer", "ann", 60.0, values=True)
    gone, lost = ring.invite("editor", "bob", None, values=False)
    ring.revoke(gone.id)
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    later = KeyRing(OWN, path, clock)
    assert later.find(kept.id) == (key, Grant(key.id, "viewer", "ann", True))
    assert later.invitations() == ring.invitations()
    assert "was revoked" in problem_with(later, lost)


def test_no_secret_is_shown_of_an_invitation(ring):
    given, key = ring.invite("viewer", "ann", None, values=False)
    shown = f"{given!r} {key!r} {ring!r} {ring.invitations()!r} {ring.find(given.id)!r}"
    assert key.secret.hex() not in shown
    assert repr(key.secret) not in shown


def test_an_unknown_invitation_is_told_with_those_that_there_are(ring):
    with pytest.raises(RequestError, match=r"^there is no invitation 'zzz'; nobody is invited$"):
        ring.revoke("zzz")
    ann, bob = (ring.invite("viewer", name, None, values=False)[0].id for name in ("ann", "bob"))
    gone = ring.invite("viewer", "eve", None, values=False)[0].id
    ring.revoke(gone)
    with pytest.raises(RequestError, match=rf"^there is no invitation 'zzz'; there are {ann} \(ann\), {bob} \(bob\)$"):
        ring.revoke("zzz")
    assert ring.find("zzz") is None


@pytest.mark.parametrize("name", ["x" * 101, "a\nb", "\x1b[31m"])
def test_a_name_that_cannot_be_shown_is_refused(ring, path, name):
    with pytest.raises(RequestError, match="at most 100 characters, all of them printable"):
        ring.invite("viewer", name, None, values=False)
    assert not path.exists()


def test_nobody_is_invited_where_it_cannot_be_kept(ring, path, refuse_disk):
    before, _ = ring.invite("viewer", "ann", None, values=False)
    refuse_disk(True)
    with pytest.raises(RequestError, match=r"^nobody was invited, as .*invitations.json cannot be written: .*No space"):
        ring.invite("viewer", "bob", None, values=False)
    assert ring.invitations() == [before] == KeyRing(OWN, path).invitations()


def test_what_is_revoked_holds_no_longer_even_where_the_disk_refuses(ring, path, refuse_disk):
    given, key = ring.invite("viewer", "ann", None, values=False)
    refuse_disk(True)
    told = ring.revoke(given.id)[1]
    assert re.search(r"holds no longer, but .* cannot be written: .*No space.*; revoke it again once", told)
    assert "was revoked" in problem_with(ring, key)
    assert problem_with(KeyRing(OWN, path), key) == ""
    refuse_disk(False)
    assert ring.revoke(given.id)[1] == ""
    assert "was revoked" in problem_with(KeyRing(OWN, path), key)


def test_the_one_that_ended_first_makes_room(ring, clock, monkeypatch):
    monkeypatch.setattr(key_ring, "_MAX_KEPT", 3)
    held, _ = ring.invite("viewer", "a", None, values=False)
    first, _ = ring.invite("viewer", "b", 60.0, values=False)
    second, _ = ring.invite("viewer", "c", 90.0, values=False)
    with pytest.raises(RequestError, match="there are 3 invitations that hold; revoke some first"):
        ring.invite("viewer", "d", None, values=False)
    clock.now += 100.0
    ring.invite("viewer", "d", None, values=False)
    assert ring.find(first.id) is None
    assert [each.name for each in ring.invitations()] == ["a", "c", "d"]
    assert ring.find(held.id)
    assert ring.find(second.id)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"invitations": 1}',
        '{"invitations": [{"id": "a", "secret": "s3cret"}]}',
        '{"invitations": [{"id": "00", "role": "viewer", "name": "ann", "values": true, "created": 0, "expires": null, '
        '"revoked": null, "secret": "00"}]}',
        '{"invitations": [{"id": "0011223344556677", "role": 1, "name": "ann", "values": true, "created": 0, '
        '"expires": null, "revoked": null, "secret": "00"}]}',
        '{"invitations": [{"id": "0011223344556677", "role": "viewer", "name": "ann", "values": true, "created": 0, '
        '"expires": "never", "revoked": null, "secret": "00"}]}',
        '{"invitations": [{"id": "0011223344556677", "role": "king", "name": "ann", "values": true, "created": 0, '
        '"expires": null, "revoked": null, "secret": "00"}]}',
        "[" * 100_000,
    ],
)
def test_a_file_that_cannot_be_understood_invites_nobody(path, text, caplog):
    path.write_text(text)
    with caplog.at_level(logging.ERROR):
        ring = KeyRing(OWN, path)
    assert ring.invitations() == []
    assert "nobody is invited until somebody is again" in caplog.text
    assert "s3cret" not in caplog.text
    ring.invite("viewer", "ann", None, values=False)
    assert len(json.loads(path.read_text())["invitations"]) == 1


def test_a_file_of_a_later_release_may_say_more(ring, path):
    given, _ = ring.invite("viewer", "ann", None, values=False)
    said = json.loads(path.read_text())
    said["invitations"][0]["colour"] = "blue"
    path.write_text(json.dumps(said))
    assert KeyRing(OWN, path).invitations() == [given]


def test_neither_a_link_nor_a_pipe_is_read(path, caplog):
    path.symlink_to("/dev/zero")
    assert KeyRing(OWN, path).invitations() == []
    path.unlink()
    os.mkfifo(path)
    assert KeyRing(OWN, path).invitations() == []
