"""What the commands about people take, print and refuse, with a kernel that remembers what it was asked."""

import contextlib
import json
import sys

import pytest

from rpyc_kernel.cli import people
from rpyc_kernel.cli.application import UsageError
from rpyc_kernel.cli.people import find
from rpyc_kernel.cli.program import run
from rpyc_kernel.client.connect_string import parse
from rpyc_kernel.client.invitation import Invitation
from rpyc_kernel.errors import NotPermitted
from rpyc_kernel.frozen import changed

ID, OTHER = "0011223344556677", "8899aabbccddeeff"
SECRET = "5e" * 32
TLS = {"host": "192.0.2.7", "port": 4711, "security": "tls", "fingerprint": "f1" * 32}
PLAIN = {"host": "127.0.0.1", "port": 4712, "security": "plain"}


class Kernel:
    name, role = "demo", "owner"

    def __init__(self):
        self.listening = [PLAIN, TLS]
        self.asked = []

    def status(self):
        return {"listening": self.listening}

    def listen(self, where, *, tls):
        self.asked.append((where, tls))
        self.listening.append(TLS)

    def invite(self, role, **more):
        self.asked.append((role, more))
        return Invitation(
            ID, role, more["name"], more["values"], 0.0, 60.0, secret=SECRET, kernel="demo", listening=(PLAIN, TLS)
        )

    def invitations(self):
        return [
            Invitation(ID, "viewer", "ann", False, 0.0, None),
            Invitation(OTHER, "editor", "bob", True, 0.0, 4e9),
            Invitation("gone", "editor", "bob", True, 0.0, 60.0, 61.0),
            Invitation("late", "editor", "eve\x1b[31m", True, 0.0, 60.0),
        ]

    def sessions(self):
        return [
            {
                "id": f"{ID}:s",
                "name": "ann",
                "role": "viewer",
                "connections": 2,
                "doing": "reading",
                "execution": None,
                "channels": [{"channel": "events", "address": "192.0.2.1", "host": "h", "since": 0.0}],
            },
            {"id": "left", "name": "old", "role": "owner", "connections": 0},
        ]

    def certify(self, invitation):
        return {"certificate": f"of {invitation}", "private_key": SECRET, "server_certificate": "of the kernel"}

    def revoke(self, key):
        self.asked.append(key)

    kick = revoke


@pytest.fixture
def kernel(monkeypatch):
    kernel = Kernel()
    monkeypatch.setattr(
        people.Command, "connect", lambda self, name, joins: contextlib.nullcontext(kernel), raising=True
    )
    return kernel


def call(capsys, *arguments):
    status = run(["rpyc-kernel", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_an_invitation_is_one_line_that_leads_there_with_its_key(kernel, capsys):
    status, out, err = call(capsys, "invite", "demo", "--role", "viewer", "--expires", "2h", "--name", "ann")
    assert (status, err, out.count("\n")) == (0, "", 1)
    assert kernel.asked == [("viewer", {"name": "ann", "expires": 7200.0, "values": False})]
    told = parse(out)
    assert (told.host, told.port, told.name) == (TLS["host"], TLS["port"], "demo")
    assert (told.key.id, told.key.secret.hex(), told.fingerprint.hex()) == (ID, SECRET, TLS["fingerprint"])


@pytest.mark.parametrize(
    ("expires", "told"), [(60.0, "until 1970-01-01 00:01 UTC"), (None, "until it is revoked")], ids=["expires", "never"]
)
def test_who_invites_at_a_terminal_is_told_what_the_line_is_for(kernel, capsys, monkeypatch, expires, told):
    invite = kernel.invite
    monkeypatch.setattr(kernel, "invite", lambda *_, **more: changed(invite(*_, **more), expires=expires))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _, out, err = call(capsys, "invite", "demo", "--role", "viewer", "--name", "ann")
    assert out.count("\n") == err.count("\n") == 1
    assert "'rpyc-kernel console -'" in err
    assert told in err
    assert SECRET not in err
    assert call(capsys, "invite", "demo", "--role", "viewer", "--json")[2] == ""


def test_an_invitation_for_rpyc_alone_comes_with_files_that_nobody_else_can_read(kernel, capsys, tmp_path):
    folder = tmp_path / "for" / "ann"
    status, out, _ = call(capsys, "invite", "demo", "--role", "editor", "--certificate", str(folder))
    assert (status, SECRET in out) == (0, False)
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written == {
        "certificate.pem": f"of {ID}",
        "private_key.pem": SECRET,
        "server_certificate.pem": "of the kernel",
    }
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}


def test_nobody_is_invited_where_the_files_could_not_be_written(kernel, capsys, tmp_path, monkeypatch):
    (tmp_path / "used").touch()
    for path, told in ((tmp_path, "there is something in it"), (tmp_path / "used" / "below", "Not a directory")):
        status, _, err = call(capsys, "invite", "demo", "--role", "editor", "--certificate", str(path))
        assert (status, told in err) == (2, True)
    assert kernel.asked == []

    def fail(path, data):
        raise OSError("the disk is full")

    monkeypatch.setattr(people, "write_private", fail)
    status, out, err = call(capsys, "invite", "demo", "--role", "editor", "--certificate", str(tmp_path / "new"))
    assert (status, out) == (2, "")
    assert "nobody was invited" in err
    assert "the disk is full" in err
    assert kernel.asked[-1] == ID  # it is revoked


def test_an_invitation_for_programs_has_its_secret_once(kernel, capsys):
    _, out, _ = call(
        capsys, "invite", "demo", "--role=editor", "--expires=never", "--values", "--host", "h.org", "--json"
    )
    told = json.loads(out)
    assert kernel.asked == [("editor", {"name": "", "expires": None, "values": True})]
    assert told.keys() == {
        *("id", "role", "name", "values", "created", "expires", "revoked", "kernel"),
        "connect_string",
    }
    assert parse(told["connect_string"]).host == "h.org"


@pytest.mark.parametrize(
    ("listening", "arguments", "told"),
    [
        (
            [],
            (),
            "kernel 'demo' does not listen with TLS, so that nobody can come in from elsewhere; have it do so with",
        ),
        ([PLAIN], (), "have it do so with --listen HOST (kernel.listen(HOST))"),
        ([PLAIN], ("--listen", "0.0.0.0:99999"), "cannot listen on '0.0.0.0:99999'"),
        (
            [PLAIN],
            ("--listen", "0.0.0.0"),
            "kernel 'demo' listens on all addresses of this machine; say with --host NAME (host=…) by which one others",
        ),
        (
            [PLAIN],
            ("--listen", "127.0.0.1:0"),
            "nobody comes to 127.0.0.1 from elsewhere; say with --host NAME by which name or address others reach it",
        ),
        ([PLAIN], ("--listen", "localhost"), "nobody comes to localhost from elsewhere; say with --host NAME"),
        (
            [{**TLS, "host": "127.0.0.1"}],
            (),
            "listens on 127.0.0.1 alone, where nobody comes to from elsewhere; add",
        ),
        (
            [{**TLS, "host": "0.0.0.0"}],
            (),
            "kernel 'demo' listens on all addresses of this machine; say with --host NAME (host=…) by which one others",
        ),
        ([TLS], ("--expires", "soon"), "--expires soon: use a time such as 90s, 1h30m, 7d or 2w"),
        ([TLS], ("--role", "king"), "argument of role expected"),
    ],
)
def test_nobody_is_invited_who_could_not_come(kernel, capsys, listening, arguments, told):
    kernel.listening = listening
    status, out, err = call(capsys, "invite", "demo", "--role", "viewer", *arguments)
    assert (status, out, kernel.asked) == (2, "", [])
    assert err.startswith("rpyc-kernel: ")
    assert told in err
    assert err.count("\n") == 1


def test_a_kernel_listens_from_now_on_where_that_is_asked_for(kernel, capsys):
    kernel.listening = [PLAIN]
    status, out, _ = call(capsys, "invite", "demo", "--role", "viewer", "--listen", "0.0.0.0:4711", "--host", "h.org")
    assert (status, kernel.asked[0]) == (0, ("0.0.0.0:4711", True))
    assert (parse(out).host, parse(out).port) == ("h.org", 4711)


def test_a_tunnel_may_end_where_the_kernel_listens_for_this_machine_alone(kernel, capsys):
    kernel.listening = [{**TLS, "host": "127.0.0.1"}]
    assert call(capsys, "invite", "--role", "viewer", "--host", "h.org")[0] == 0
    assert len(kernel.asked) == 1


def test_those_who_are_there_and_who_are_invited_are_listed(kernel, capsys):
    first, *others = call(capsys, "sessions", "demo")[1].splitlines()
    assert first.startswith(f"{ID}:s  ann  viewer  looking on  since 1970-01-01")
    assert "192.0.2.1" in first
    assert others == [
        f"{ID}    ann  viewer  invited until revoked",
        f"{OTHER}    bob  editor  invited until 2096-10-02 07:06 UTC",
        "gone                bob  editor  revoked 1970-01-01 00:01 UTC",
        "late                eve  editor  expired 1970-01-01 00:01 UTC",
    ]
    told = json.loads(call(capsys, "sessions", "demo", "--json")[1])
    assert [each["id"] for each in told["sessions"]] == [f"{ID}:s"]
    assert [each["name"] for each in told["invitations"]][:2] == ["ann", "bob"]
    assert "secret" not in str(told)


def test_who_is_no_owner_sees_no_invitations_and_asks_for_none(kernel, capsys):
    kernel.role, kernel.invitations = "viewer", None
    (line,) = call(capsys, "sessions", "demo")[1].splitlines()
    assert line.startswith(f"{ID}:s  ann  viewer")


@pytest.mark.parametrize(
    ("role", "told"), [("owner", "nobody is here, and nobody is invited\n"), ("viewer", "nobody is here\n")]
)
def test_of_nobody_no_more_is_said_than_is_known(kernel, capsys, monkeypatch, role, told):
    kernel.role = role
    monkeypatch.setattr(kernel, "sessions", list)
    monkeypatch.setattr(kernel, "invitations", list)
    assert call(capsys, "sessions", "demo") == (0, told, "")


def test_who_is_no_owner_hears_that_it_cannot_invite_and_not_where_to_listen(kernel, capsys, monkeypatch):
    def refuse(*_, **__):
        raise NotPermitted("'ann' is here as viewer; it cannot invite")

    kernel.role, kernel.listening = "viewer", [PLAIN]
    monkeypatch.setattr(kernel, "invite", refuse)
    for arguments in ((), ("--listen", "192.0.2.7")):
        status, out, err = call(capsys, "invite", "demo", "--role", "viewer", *arguments)
        assert (status, out, err) == (2, "", "rpyc-kernel: 'ann' is here as viewer; it cannot invite\n")
    assert kernel.asked == []


@pytest.mark.parametrize(
    ("command", "wanted"), [("revoke", ID), ("revoke", "ann"), ("kick", "ann"), ("kick", f"{ID}:s")]
)
def test_people_are_sent_away_by_id_or_name(kernel, capsys, command, wanted):
    status, out, _ = call(capsys, command, "demo", wanted)
    key = ID if command == "revoke" else f"{ID}:s"
    assert (status, kernel.asked) == (0, [key])
    assert f"{key} of ann" in out


@pytest.mark.parametrize(
    ("command", "wanted", "told"),
    [
        ("revoke", "anne", f"there is no invitation 'anne'; did you mean {ID} (ann)?"),
        ("revoke", ID[:-1], f"did you mean {ID} (ann)?"),
        ("revoke", "gone", "there is no invitation 'gone'; there are"),
        ("kick", "old", f"there is no session 'old'; there are {ID}:s (ann)"),
    ],
)
def test_who_is_not_there_is_told_with_who_is_near(kernel, capsys, command, wanted, told):
    status, out, err = call(capsys, command, "demo", wanted)
    assert (status, out, kernel.asked) == (2, "", [])
    assert told in err


def test_a_name_of_several_is_no_choice():
    with pytest.raises(
        UsageError, match=r"there are several of the name 'bob'; choose one by its id: a \(bob\), b \(bob\)"
    ):
        find("session", "bob", {"a": "bob", "b": "bob", "c": "ann"})
    with pytest.raises(UsageError, match="there is no session 'x'; there is none at all"):
        find("session", "x", {})
