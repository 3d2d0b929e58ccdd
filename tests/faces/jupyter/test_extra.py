"""Packages that the Jupyter face needs: their lack is said; a fault of ours stays one."""

import sys

import pytest

from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.jupyter.extra import needing_extra, require


def test_a_part_of_a_package_that_is_not_installed_is_said_by_the_packages_name():
    with pytest.raises(RequestError, match=r"has no zmq, .*rpyc-kernel\[jupyter\]") as raised, needing_extra():
        raise ModuleNotFoundError("No module named 'zmq'", name="zmq.backend")
    assert sys.executable in str(raised.value)


@pytest.mark.parametrize("error", [ModuleNotFoundError("?", name="rpyc_kernel.absent"), ImportError("?", name="zmq")])
def test_a_fault_in_what_is_there_stays_what_it_is(error: ImportError):
    with pytest.raises(type(error)) as raised, needing_extra():
        raise error
    assert raised.value is error


def test_a_package_that_is_not_installed_is_said_before_it_is_loaded():
    with pytest.raises(RequestError, match=r"has no a_package_of_nobodys, .*rpyc-kernel\[jupyter\]"):
        require("a_package_of_nobodys")
    require("zmq")
