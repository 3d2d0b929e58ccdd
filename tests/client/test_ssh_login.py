import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rpyc_kernel.client import ssh_login
from rpyc_kernel.client.ssh_login import Destination
from rpyc_kernel.errors import ConnectionFailed, RequestError
from tests.support.sshd import Hosts
from tests.support.waiting import wait_until


def test_threads_that_need_the_same_way_at_once_get_one_that_is_there(ssh_hosts: Hosts):
    login = ssh_login.log_in(Destination("alpha"))
    before = ssh_hosts.alpha.logins
    with ThreadPoolExecutor(3) as pool:
        at_once = threading.Barrier(3)

        def make() -> tuple[int, str]:
            at_once.wait(30)
            number = login.connect()
            return number, login.make_way("/there")

        made = {job.result() for job in [pool.submit(make) for _ in range(3)]}
    [(number, near)] = made
    assert (number, ssh_hosts.alpha.logins) == (1, before + 1)
    assert Path(near).is_socket()
    Path(near).unlink()
    another = login.make_way("/there", instead_of=near)
    assert Path(another).is_socket()
    assert login.find_way("/there") == another


def test_a_connection_that_broke_is_another_one_next_time(ssh_hosts: Hosts):
    login = ssh_login.log_in(Destination("alpha"))
    assert (login.connect(), login.connect()) == (1, 1)
    way = login.make_way("/there")
    ssh_hosts.alpha.drop()
    assert login.connect() == 2
    assert login.find_way("/there") == ""
    assert login.make_way("/there") != way
    assert not Path(way).exists()


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_who_holds_the_connection_is_one_at_a_time_whatever_becomes_of_it_and_ends_with_us(
    ssh_hosts: Hosts, fault: signal.Signals, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ssh_login, "_ANSWER_S", 2.0)
    before = ssh_hosts.alpha.logins
    login = ssh_login.log_in(Destination("alpha"))
    for number in (1, 2, 3):
        assert login.connect() == number
        assert login.connect() == number
        [master] = ssh_hosts.alpha.masters
        os.kill(master, fault)
    ssh_login.log_out()
    wait_until(lambda: not ssh_hosts.alpha.masters, what="the end of who held the connection")
    assert ssh_hosts.alpha.logins == before + 3


def test_a_connection_that_has_just_ended_is_not_told_as_the_hosts_refusal(ssh_hosts: Hosts):
    login = ssh_login.log_in(Destination("alpha"))
    login.connect()
    [master] = ssh_hosts.alpha.masters
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: not ssh_hosts.alpha.masters, what="the end of who held the connection")
    with pytest.raises(ConnectionFailed, match=r"^the SSH connection to alpha has ended"):
        login.make_way("/there")


def test_a_ctrl_c_at_the_end_is_no_error_and_all_is_taken_away_all_the_same(
    ssh_hosts: Hosts, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", str(ssh_hosts.config.parent))
    code = (
        "from rpyc_kernel.client import ssh_login\n"
        "ssh_login.log_in(ssh_login.Destination('alpha')).connect()\n"
        "def interrupt(*_): raise KeyboardInterrupt\n"
        "ssh_login._places[0]._shell.wait = interrupt"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    wait_until(lambda: not [*ssh_hosts.config.parent.glob("rk-ssh-*")], what="the end of the folder")
    wait_until(lambda: not ssh_hosts.alpha.masters, what="the end of who held the connection")


@pytest.mark.parametrize(
    ("command", "said"), [("ssh 'x", "cannot be understood"), ("no-ssh -v", "no program 'no-ssh'")]
)
def test_a_client_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, command: str, said: str):
    monkeypatch.setenv(ssh_login.COMMAND_VARIABLE, command)
    with pytest.raises(RequestError, match=said):
        ssh_login.Login(Destination("gpu")).connect()
