"""Where a hub listens, what protects it, and that it is there again with the next hub."""

import re
import socket
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from rpyc_kernel.core.contract import Security
from rpyc_kernel.errors import NotAvailable, RequestError
from rpyc_kernel.frozen import changed
from rpyc_kernel.hub.listening import Listeners, decide_security
from rpyc_kernel.settings import HubSettings
from rpyc_kernel.system.certificates import ensure_certificate, issue_certificate
from rpyc_kernel.system.home import Home
from rpyc_kernel.wire import tls
from rpyc_kernel.wire.connection_file import ConnectionFile

PATIENCE_S = 30.0
BLANK = ConnectionFile("demo", "", 0, "00" * 32, "", 1)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "demo")
    home.create()
    return home


@pytest.fixture
def begin(home):
    """Begins to listen, and stops after the test."""
    begun = []

    def begin(earlier=None, **settings):
        begun.append(Listeners(home, HubSettings(**settings), earlier))
        return begun[-1]

    yield begin
    for each in begun:
        each.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_what_only_this_machine_can_reach_is_plain_unless_tls_is_wanted(host):
    assert decide_security(host, wants_tls=False, is_insecure=False) == Security.PLAIN
    assert decide_security(host, wants_tls=False, is_insecure=True) == Security.PLAIN
    assert decide_security(host, wants_tls=True, is_insecure=False) == Security.TLS


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "2001:db8::1", "gpu.example", "127.evil.example"])
def test_what_others_can_reach_has_tls_unless_somebody_says_otherwise(host):
    assert decide_security(host, wants_tls=False, is_insecure=False) == Security.TLS
    assert decide_security(host, wants_tls=False, is_insecure=True) == Security.INSECURE


def test_tls_and_none_of_it_contradict_each_other():
    with pytest.raises(RequestError, match="cannot have TLS and be insecure"):
        decide_security("::", wants_tls=True, is_insecure=True)


def test_plain_listening_makes_no_certificate(begin, home):
    listeners = begin()
    (told,) = listeners.tell()
    assert (told["host"], told["security"]) == ("127.0.0.1", Security.PLAIN)
    assert not home.certificate.exists()
    assert listeners.describe(BLANK).fingerprint == ""


def test_a_certificate_is_made_on_first_use_and_told(begin, home):
    listeners = begin(tls=True)
    (told,) = listeners.tell()
    assert told["security"] == Security.TLS
    assert told["fingerprint"] == tls.fingerprint_of(home.certificate).hex()
    assert stat.S_IMODE(home.private_key.stat().st_mode) == 0o600
    file = listeners.describe(BLANK)
    assert (file.host, file.port, file.fingerprint) == ("127.0.0.1", told["port"], told["fingerprint"])


def test_without_a_way_to_make_one_nothing_listens_and_the_remedy_is_named(begin, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    with pytest.raises(NotAvailable, match="-m pip install cryptography"):
        begin(host="0.0.0.0")
    assert begin(host="0.0.0.0", insecure=True).tell()[0]["security"] == Security.INSECURE


def test_a_port_that_is_taken_is_told_of(begin):
    taken = begin().tell()[0]["port"]
    with pytest.raises(RequestError, match=rf"cannot listen on 127\.0\.0\.1:{taken}: "):
        begin(port=taken)


# The standard library leaves its socket to be collected where a host is not even text for it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("host", ["no.such.host.invalid", "a\0b", "\ud800"])
def test_what_is_no_address_of_this_machine_is_told_of(begin, host):
    with pytest.raises(RequestError, match=rf"^cannot listen on {re.escape(host)}:0: "):
        begin(host=host, insecure=True)


def test_listening_can_begin_later_and_once(begin):
    listeners = begin()
    opened = []
    listeners.on_opened(opened.append)
    found = listeners.listen("127.0.0.1", 0, Security.TLS)
    assert opened == [found]
    assert [told["security"] for told in listeners.tell()] == [Security.PLAIN, Security.TLS]
    assert listeners.listen("127.0.0.1", 0, Security.TLS) is found
    assert listeners.listen("127.0.0.1", found.port, Security.TLS) is found
    assert opened == [found]
    assert listeners.describe(BLANK).fingerprint == ""  # the first is what the file leads to


def test_all_come_back_with_the_next_hub_under_the_same_ports(begin):
    listeners = begin()
    listeners.listen("127.0.0.1", 0, Security.TLS)
    file, before = listeners.describe(BLANK), listeners.tell()
    listeners.close()
    again = begin(file)
    assert again.tell() == before
    assert again.describe(BLANK).listening == file.listening


def test_what_the_next_hub_is_told_stands_beside_what_was_there(begin):
    file = begin(tls=True).describe(BLANK)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    again = begin(changed(file, listening=[]), port=port)
    assert [told["port"] for told in again.tell()] == [port]


def test_a_port_that_somebody_else_has_meanwhile_does_not_keep_the_hub_from_starting(begin):
    listeners = begin()
    file = listeners.describe(BLANK)  # and goes on to listen, as somebody else
    again = begin(file)
    assert again.tell()[0]["port"] != file.port


def test_own_certificates_are_used_and_remembered(begin, home, tmp_path):
    other = Home(tmp_path / "other")
    other.create()
    ensure_certificate(other)
    files = {"certificate": str(other.certificate), "private_key": str(other.private_key)}
    listeners = begin(tls=True, **files)
    assert listeners.fingerprint == tls.fingerprint_of(other.certificate)
    assert not home.certificate.exists()
    file = listeners.describe(BLANK)
    listeners.close()
    assert begin(file, tls=True).fingerprint == tls.fingerprint_of(other.certificate)


def accept_with(listeners, client_certificate):
    """Have a client with a certificate come; what is known by that."""
    with socket.create_connection(("127.0.0.1", listeners.all[0].port)) as near, ThreadPoolExecutor(1) as pool:
        far, _ = listeners.all[0].sock.accept()
        with far:
            accepting = pool.submit(listeners.accept, far, PATIENCE_S)
            plain, _ = tls.connect(near, tls.client_context(client_certificate), PATIENCE_S)
            relay, certificate = accepting.result(PATIENCE_S)
            plain.close()
            relay.plain.close()
            relay.run()
    return certificate


def test_an_authority_of_somebody_elses_invites_nobody(begin, home, tmp_path):
    company = Home(tmp_path / "company")
    company.create()
    forged = tmp_path / "forged.pem"
    forged.write_bytes(b"".join(issue_certificate(company, "0123456789abcdef", "eve")))
    listeners = begin(tls=True, client_ca=str(company.certificate))
    certificate = accept_with(listeners, forged)
    assert (certificate.name, certificate.invitation) == ("eve", "")


def test_with_own_certificates_invitations_are_trusted_once_there_are_some(begin, home, tmp_path):
    other = Home(tmp_path / "other")
    other.create()
    ensure_certificate(other)
    files = {"certificate": str(other.certificate), "private_key": str(other.private_key)}
    listeners = begin(tls=True, **files)
    made = listeners.certify("0123456789abcdef", "ann")
    assert made["server_certificate"] == other.certificate.read_text()
    mine = tmp_path / "mine.pem"
    mine.write_text(made["certificate"] + made["private_key"])
    certificate = accept_with(listeners, mine)
    assert certificate.invitation == "0123456789abcdef"


def test_files_that_are_no_certificates_are_told_of_before_anything_listens(begin, tmp_path):
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    with pytest.raises(RequestError, match=r"broken\.pem .*cannot be used as a certificate"):
        begin(tls=True, certificate=str(broken))
    with pytest.raises(RequestError, match=r"broken\.pem holds no certificate"):
        begin(tls=True, client_ca=str(broken))
