"""Connect strings: written and read, and never seen as a whole by anybody but who is to have them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.client import connect_string
from rpyc_kernel.client.address import resolve
from rpyc_kernel.client.connect_string import ConnectString, from_environment, parse, remember, shown_of
from rpyc_kernel.client.doors import TlsDoor
from rpyc_kernel.errors import KernelError, RequestError
from rpyc_kernel.wire.keys import Key

SECRET = bytes(range(32))
FINGERPRINT = bytes(range(32, 64))
ANN = ConnectString("gpu.example", 4000, "train", Key(SECRET, "0123456789abcdef"), FINGERPRINT)
TEXT = (
    "rpyc+tls://gpu.example:4000/train#0123456789abcdef.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    ".ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
)

hosts = st.sampled_from(["gpu", "gpu.example", "192.0.2.1", "::1", "2001:db8::7", "h-1"])
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True) | st.just("")
keys = st.builds(
    Key, st.binary(min_size=32, max_size=32), st.just("") | st.binary(min_size=8, max_size=8).map(bytes.hex)
)
strings = st.builds(
    ConnectString, hosts, st.integers(1, 65535), names, keys, st.just(b"") | st.binary(min_size=32, max_size=32)
)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    for name in ("RPYC_KERNEL_KEY", "RPYC_KERNEL_INVITATION", "RPYC_KERNEL_CLIENT_CERTIFICATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(connect_string, "_remembered", {})


def test_one_says_where_to_go_by_which_key_and_to_whom():
    assert ANN.reveal() == TEXT
    assert parse(TEXT) == ANN
    assert parse(f"  {TEXT}\n") == ANN


@given(strings)
def test_what_is_written_is_read(given_string):
    assert parse(given_string.reveal()) == given_string


def test_hexadecimal_digits_and_no_fingerprint_will_do():
    where = shown_of(TEXT)
    assert parse(f"{where}#{ANN.key.id}.{SECRET.hex()}.{FINGERPRINT.hex()}") == ANN
    assert parse(f"{where}#{ANN.key.id}.{SECRET.hex()}").fingerprint == b""


@given(strings)
def test_what_is_shown_tells_no_secret(given_string):
    _, _, secret = given_string.reveal().partition("#")
    for shown in (given_string.shown, repr(given_string), shown_of(given_string.reveal()), str(given_string)):
        assert secret not in shown
        assert secret.split(".")[1] not in shown


@given(strings, st.data())
def test_of_one_that_is_damaged_nothing_is_told_that_must_not_be_seen(given_string, data):
    whole = given_string.reveal()
    secret = whole.partition("#")[2].split(".")[1]
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:place] + data.draw(st.sampled_from(["", "#", " ", "%", "é", "[", "//", "@"])) + whole[place + 1 :]
    try:
        shown = repr(resolve(damaged))
    except KernelError as error:
        shown = f"{error} {error!r} {error.__cause__} {error.__context__ if not error.__suppress_context__ else ''}"
    assert secret not in shown


@pytest.mark.parametrize(
    "text",
    [
        "rpyc+tls://gpu.example/train#" + TEXT.partition("#")[2],
        "rpyc+tls://:4000/train#" + TEXT.partition("#")[2],
        "rpyc+tls://gpu.example:70000/train#" + TEXT.partition("#")[2],
        "rpyc+tls://ann@gpu.example:4000/train#" + TEXT.partition("#")[2],
        "rpyc+tls://gpu.example:4000/no name#" + TEXT.partition("#")[2],
        "rpyc+tls://[gpu:4000/train#" + TEXT.partition("#")[2],
        "rpyc+tcp://gpu.example:4000/train#" + TEXT.partition("#")[2],
        "train#" + TEXT.partition("#")[2],
        TEXT.replace("#", ""),
        TEXT.replace("#", "/"),
        TEXT[:-1],
        TEXT.replace(".", "", 2),
        TEXT + ".more",
        TEXT.replace("0123456789abcdef", "0123"),
        TEXT.replace("AAECAw", "AA CAw"),
    ],
)
def test_what_cannot_be_understood_is_refused_without_its_secret(text):
    with pytest.raises(RequestError) as refusal:
        resolve(text)
    assert "CAwQFBg" not in str(refusal.value)


def test_it_leads_to_a_door_behind_tls():
    address = resolve(TEXT)
    assert address.shown == "rpyc+tls://gpu.example:4000/train"
    assert address.key == ANN.key
    assert address.door == TlsDoor("gpu.example", 4000, FINGERPRINT)


def test_the_environment_may_bring_the_secret(monkeypatch):
    where = shown_of(TEXT)
    with pytest.raises(RequestError, match=r"needs an invitation: .* RPYC_KERNEL_INVITATION .* RPYC_KERNEL_KEY"):
        resolve(where)
    for value in (TEXT, TEXT.partition("#")[2]):
        monkeypatch.setenv("RPYC_KERNEL_INVITATION", value)
        assert resolve(where).key == ANN.key
        assert resolve(where).door == TlsDoor("gpu.example", 4000, FINGERPRINT)
    assert os.environ["RPYC_KERNEL_INVITATION"]


def test_a_whole_string_in_the_environment_names_a_kernel_and_a_secret_alone_does_not(monkeypatch):
    assert from_environment() == ""
    monkeypatch.setenv("RPYC_KERNEL_INVITATION", TEXT.partition("#")[2])
    assert from_environment() == ""
    monkeypatch.setenv("RPYC_KERNEL_INVITATION", f" {TEXT}\n")
    assert from_environment() == TEXT


def test_what_somebody_was_told_is_not_overruled_by_a_key_that_happens_to_be_in_the_environment(monkeypatch):
    monkeypatch.setenv("RPYC_KERNEL_KEY", bytes(32).hex())
    assert resolve(remember(TEXT)).key == ANN.key


def test_the_kernels_own_key_will_do_without_a_fingerprint(monkeypatch):
    monkeypatch.setenv("RPYC_KERNEL_KEY", SECRET.hex())
    address = resolve("rpyc+tls://[::1]:4000")
    assert (address.key, address.door) == (Key(SECRET), TlsDoor("::1", 4000))
    assert address.shown == "rpyc+tls://[::1]:4000/"
    with pytest.raises(RequestError, match="the key for ::1:4000 cannot be understood"):
        resolve("rpyc+tls://[::1]:4000", "no digits")
    # A string that brings its own is not overruled by what happens to be in the environment.
    assert resolve(TEXT).key == ANN.key


def test_a_clients_own_certificate_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("RPYC_KERNEL_CLIENT_CERTIFICATE", "/home/ann/client.pem")
    assert resolve(TEXT).door == TlsDoor("gpu.example", 4000, FINGERPRINT, "/home/ann/client.pem")


def test_one_that_is_remembered_goes_by_what_may_be_shown():
    assert remember(TEXT) == shown_of(TEXT)
    assert parse(shown_of(TEXT)) == ANN
    with pytest.raises(RequestError, match="needs an invitation"):
        parse("rpyc+tls://gpu.example:4001/train")
