import os
import signal
import socket
from contextlib import ExitStack

import pytest

from rpyc_kernel.client import address, ssh, ssh_login
from rpyc_kernel.client.ssh import SshDoor, Target
from rpyc_kernel.client.ssh_login import Destination, Login, explain, log_in
from rpyc_kernel.errors import AuthenticationFailed, BadName, ConnectionFailed, RequestError
from tests.support.sshd import Hosts
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("text", "destination", "name"),
    [
        ("ssh://gpu/train", Destination("gpu"), "train"),
        ("ssh://gpu", Destination("gpu"), ""),
        ("ssh://ann@GPU-3.lab:2222/train", Destination("GPU-3.lab", "ann", 2222), "train"),
        ("ssh://ann@[fe80::1%eth0]:22/", Destination("fe80::1%eth0", "ann", 22), ""),
    ],
)
def test_an_address_says_host_user_port_and_name(text: str, destination: Destination, name: str):
    target = ssh.parse(text)
    assert target == Target(destination, name)
    assert ssh.parse(target.url) == target


def test_without_a_name_it_is_the_default_kernel():
    assert ssh.parse_kernel("ssh://gpu/").name == "default"


@pytest.mark.parametrize(
    "text",
    [
        "ssh:///train",
        "ssh://gpu/a/b",
        "ssh://gpu:port/train",
        "ssh://gpu/train?x=1",
        "ssh://gpu/train#x",
        "ssh://-oProxyCommand=date/train",
        "ssh://-lroot@gpu/train",
        "ssh://`date`/train",
        "ssh://a;date@gpu/train",
        "ssh://a%20b@gpu/train",
        "ssh://ann:secret@gpu/train",
    ],
)
def test_what_is_no_address_is_refused(text: str):
    with pytest.raises(RequestError) as raised:
        address.resolve(text)
    assert "secret" not in str(raised.value)


def test_a_name_that_no_kernel_can_have_is_refused():
    with pytest.raises(BadName):
        ssh.parse("ssh://gpu/.hidden")


def test_a_kernel_is_no_host():
    with pytest.raises(RequestError, match=r"that of its host is ssh://ann@gpu/$"):
        ssh.parse_host("ssh://ann@gpu/train")


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ("ssh: Could not resolve hostname gpu: Name or service not known\r\n", ConnectionFailed, "~/.ssh/config"),
        ("ssh: connect to host gpu port 22: Connection refused\n", ConnectionFailed, "no SSH server listens there"),
        ("ann@gpu: Permission denied (publickey,password).\n", AuthenticationFailed, "do this at a terminal"),
        ("No key is known for gpu.\nHost key verification failed.\n", AuthenticationFailed, "by 'ssh -p 7 ann@gpu'"),
        ("something new\n", ConnectionFailed, "something new; try 'ssh -p 7 ann@gpu' by hand"),
        ("", ConnectionFailed, "ended with status 255"),
    ],
)
def test_words_of_openssh_pass_with_what_to_do(said: str, kind: type, told: str):
    error = explain(Destination("gpu", "ann", 7), said, 255)
    assert type(error) is kind
    assert told in str(error)
    assert said.partition("\n")[0].strip() in str(error)
    assert "\n" not in str(error)


def test_a_changed_host_key_is_told_loudly_and_by_what_it_is_removed():
    at = "@" * 59
    said = (
        f"{at}\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n{at}\nSHA256:abc.\n"
        'Offending ED25519 key in /h/known_hosts:3\n  remove with:\n  ssh-keygen -f "/h/known_hosts" -R "gpu"\n'
        "Host key verification failed.\n"
    )
    error = explain(Destination("gpu"), said, 255)
    assert type(error) is AuthenticationFailed
    assert str(error).startswith("REMOTE HOST IDENTIFICATION OF gpu HAS CHANGED!")
    assert str(error).endswith(
        'SHA256:abc. Offending ED25519 key in /h/known_hosts:3 remove with: ssh-keygen -f "/h/known_hosts" -R "gpu"'
    )


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "killed"])
def test_it_is_asked_whether_a_login_has_ended_only_when_what_goes_by_it_has(
    ssh_hosts: Hosts, monkeypatch: pytest.MonkeyPatch, fault: signal.Signals
):
    """Who is killed refuses what is opened next; who is stopped takes it, and says nothing."""
    monkeypatch.setattr(ssh_login, "_ANSWER_S", 2.0)
    checks: list[Login] = []
    is_up = Login._is_up
    monkeypatch.setattr(Login, "_is_up", lambda self, sharing: checks.append(self) or is_up(self, sharing))
    path = str(ssh_hosts.alpha.scratch / "hub.sock")
    monkeypatch.setattr(SshDoor, "_look", lambda self, deadline: path)
    login = log_in(Destination("alpha"))
    login.connect()
    with ExitStack() as at_end:
        hub = at_end.enter_context(socket.socket(socket.AF_UNIX))
        hub.bind(path)
        hub.listen()
        door = ssh.door(Target(Destination("alpha"), "train"), path)
        opened = [at_end.enter_context(door.open(30)[0]) for _ in range(2)]
        assert (checks, login.number) == ([], 1)
        [master] = ssh_hosts.alpha.masters
        os.kill(master, fault)
        if fault == signal.SIGKILL:
            wait_until(lambda: not ssh_hosts.alpha.masters, what="the end of who held the connection")
        else:
            for sock in opened:
                sock.close()
        at_end.enter_context(door.open(30)[0])
        assert (checks, login.number) == ([login], 2)
