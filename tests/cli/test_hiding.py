"""No secret of a connect string stands where others can read it: command lines, environments, what is printed."""

import os
import socket
import subprocess
import sys

import pytest

from rpyc_kernel.cli import hiding
from rpyc_kernel.client import connect_string
from rpyc_kernel.client.connect_string import ConnectString, parse
from rpyc_kernel.errors import RequestError
from rpyc_kernel.wire.keys import Key
from tests.support.processes import HAS_PROC, read_command

SECRET = bytes(range(32))
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    for name in ("RPYC_KERNEL_KEY", "RPYC_KERNEL_INVITATION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(connect_string, "_remembered", {})


def invite(port):
    return ConnectString("127.0.0.1", port, "train", Key(SECRET, "0123456789abcdef"), bytes(32))


@pytest.fixture
def listener():
    """Somebody who listens, and lets clients wait."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        yield listener


def read_environment(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read().decode(errors="replace")


@pytest.mark.parametrize("way", ["as a word", "by standard input", "in the environment"])
def test_the_secret_is_on_no_command_line_while_the_command_runs(listener, way):
    invitation = invite(listener.getsockname()[1])
    word = {"as a word": invitation.reveal(), "by standard input": "-", "in the environment": invitation.shown}[way]
    environment = {"RPYC_KERNEL_INVITATION": invitation.reveal()} if way == "in the environment" else {}
    with subprocess.Popen(
        [sys.executable, "-m", "rpyc_kernel", "status", word],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        try:
            if way == "by standard input":
                command.stdin.write(f"{invitation.reveal()}\n")
                command.stdin.flush()
            client, _ = listener.accept()
            with client:
                assert client.recv(1) == b"\x16"  # it has understood all there is: this is TLS
                secret = invitation.reveal().partition("#")[2].split(".")[1]
                if HAS_PROC:
                    assert secret not in read_command(command.pid)
                    assert (secret in read_environment(command.pid)) == (way == "in the environment")
            out, err = command.communicate(timeout=PATIENCE_S)
        finally:
            command.kill()
    assert command.returncode == 3
    assert "127.0.0.1" in err
    assert secret not in out + err
    assert ("stood on the command line" in err) == (way == "as a word")


@pytest.mark.parametrize("blank", ["", "\n", " \r\n\n"])
def test_a_connect_string_is_read_up_to_the_end_of_its_line(monkeypatch, blank):
    reader, writer = os.pipe()
    invitation = invite(4000)
    os.write(writer, f"{blank}{invitation.reveal()}\nand more".encode())
    os.close(writer)
    with open(reader) as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        assert hiding.read_connect_string() == invitation.shown
        assert os.read(reader, 100) == b"and more"
        with pytest.raises(RequestError, match="reads a connect string from standard input, which has none"):
            hiding.read_connect_string()
    assert parse(invitation.shown) == invitation


def test_an_empty_line_at_a_terminal_is_asked_about_again_and_its_end_is_none(monkeypatch):
    def ask(prompt):
        if not typed:
            raise EOFError
        return typed.pop(0)

    invitation = invite(4000)
    typed = ["", "  ", invitation.reveal()]
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(hiding.getpass, "getpass", ask)
    assert hiding.read_connect_string() == invitation.shown
    with pytest.raises(RequestError, match="which has none"):
        hiding.read_connect_string()


def test_arguments_are_given_on_without_secrets():
    invitation = invite(4000)
    arguments = ["rpyc-kernel", "exec", f"--kernel={invitation.reveal()}", invitation.reveal(), "1 # one"]
    shown = ["rpyc-kernel", "exec", f"--kernel={invitation.shown}", invitation.shown, "1 # one"]
    assert hiding.take_secrets(arguments) == shown
    assert parse(invitation.shown) == invitation


@pytest.mark.parametrize("form", ["connect('{}')", "{} # one", "x = '{}'\n"])
def test_code_with_a_connect_string_in_it_is_handed_on_as_it_is(form):
    code = form.format(invite(4000).reveal())
    assert hiding.take_secrets(["rpyc-kernel", "exec", "demo", code])[-1] == code


def test_a_damaged_one_is_refused_without_its_secret():
    with pytest.raises(RequestError, match=r"damaged or cut short") as refusal:
        hiding.take_secrets(["rpyc-kernel", "exec", invite(4000).reveal()[:-3]])
    assert "ECAwQF" not in str(refusal.value)
