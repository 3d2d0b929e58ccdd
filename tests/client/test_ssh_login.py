import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rpyc_kernel.client import ssh_login
from rpyc_kernel.client.ssh_login import Destination
from rpyc_kernel.errors import RequestError
from tests.support.sshd import Hosts


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


@pytest.mark.parametrize(
    ("command", "said"), [("ssh 'x", "cannot be understood"), ("no-ssh -v", "no program 'no-ssh'")]
)
def test_a_client_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, command: str, said: str):
    monkeypatch.setenv(ssh_login.COMMAND_VARIABLE, command)
    with pytest.raises(RequestError, match=said):
        ssh_login.Login(Destination("gpu")).connect()
