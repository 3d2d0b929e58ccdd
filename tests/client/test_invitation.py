"""What an owner makes of an invitation, whatever its hub says."""

import pytest

from rpyc_kernel.client.answers import read_invitation as read_answer
from rpyc_kernel.client.connect_string import parse
from rpyc_kernel.client.invitation import choose_listening, read_invitation
from rpyc_kernel.errors import RequestError

SECRET, FINGERPRINT = "5e" * 32, "f1" * 32
PLAIN = (("host", "127.0.0.1"), ("port", 4711), ("security", "plain"))
TLS = (("host", "192.0.2.7"), ("port", 4712), ("security", "tls"), ("fingerprint", FINGERPRINT))
HERE = (("host", "127.0.0.1"), ("port", 4713), ("security", "tls"), ("fingerprint", FINGERPRINT))
ANSWER = {
    "id": "0011223344556677",
    "role": "viewer",
    "name": "ann",
    "values": False,
    "created": 1,
    "expires": None,
    "revoked": None,
    "secret": SECRET,
    "listening": (PLAIN, HERE, TLS),
    "colour": "blue",
}


def invitation(**changes):
    return read_invitation(read_answer(tuple({**ANSWER, **changes}.items())), "demo")


@pytest.mark.parametrize(
    ("host", "place"), [("", ("192.0.2.7", 4712)), ("h.org", ("h.org", 4712)), ("2001:db8::1", ("2001:db8::1", 4712))]
)
def test_a_connect_string_leads_to_the_port_that_others_reach(host, place):
    told = parse(invitation().connect_string(host))
    assert ((told.host, told.port), told.name, told.fingerprint.hex()) == (place, "demo", FINGERPRINT)
    assert (told.key.id, told.key.secret.hex()) == (ANSWER["id"], SECRET)


def test_an_invitation_is_shown_without_its_secret():
    shown = repr(invitation())
    assert shown == "Invitation('0011223344556677', 'viewer', 'ann')"


def test_an_address_may_stand_in_brackets():
    assert parse(invitation().connect_string("[::1]")).host == "::1"


@pytest.mark.parametrize("host", ["a b/c", "a:b", "user@host", "x?y", "#"])
def test_what_is_no_host_gives_no_connect_string(host):
    with pytest.raises(RequestError, match="is no name or address of a machine"):
        invitation().connect_string(host)


def test_where_there_is_no_tls_or_no_secret_there_is_no_connect_string():
    with pytest.raises(RequestError, match=r"kernel 'demo' does not listen with TLS, .*with --listen HOST"):
        invitation(listening=(PLAIN,)).connect_string()
    with pytest.raises(RequestError, match="is told once, by 'invite'; make another one"):
        read_invitation({name: ANSWER[name] for name in list(ANSWER)[:7]}, "demo").connect_string()
    with pytest.raises(RequestError, match="listens on all addresses of this machine; say with --host NAME"):
        choose_listening(({"host": "::", "port": 1, "fingerprint": FINGERPRINT},), "demo")


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 1},
        {"role": None},
        {"values": 1},
        {"expires": "soon"},
        {"secret": b""},
        {"secret": "no"},
        {"listening": ((("host", 1), ("port", 1)),)},
        {"listening": ((("host", "a"), ("port", "1")),)},
        {"listening": ((("host", "a"), ("port", 1), ("fingerprint", "zz")),)},
    ],
)
def test_what_is_no_invitation_is_not_taken_for_one(wrong):
    with pytest.raises((TypeError, ValueError)):
        invitation(**wrong)
