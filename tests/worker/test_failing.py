"""What a worker cannot do even when it tries again ends it, with the reason; what it can do then goes on."""

import os
from contextlib import suppress

import pytest

from rpyc_kernel.system.stacks import OWN_FAULT, Stacks
from rpyc_kernel.worker import failing, forks


class Ended(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def told(monkeypatch, tmp_path):
    """Reads the file in which the hub looks for the reason; the end of the process is an exception."""

    def end(status):
        raise Ended(status)

    monkeypatch.setattr(failing, "_exit", end)
    for name in ("descriptor", "path", "found"):
        monkeypatch.setattr(failing._File, name, getattr(failing._File, name))
    path = tmp_path / "stacks"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    failing.tell_in(descriptor, path)
    yield path.read_text
    with suppress(OSError):
        os.close(descriptor)


def test_what_is_raised_once_is_shown_and_the_work_done_again():
    failures, shown = [ZeroDivisionError("once"), KeyboardInterrupt("twice")], []

    def work(done):
        if failures:
            raise failures.pop(0)
        done.append(1)

    done = []
    failing.insist(work, done, show=shown.append)
    assert (done, [str(error) for error in shown]) == ([1], ["once", "twice"])


def test_what_fails_again_and_again_ends_the_worker_with_the_reason_and_where_it_was(told):
    def work():
        raise ZeroDivisionError("always")

    with pytest.raises(Ended) as ended:
        failing.insist(work, show=lambda error: None)
    assert ended.value.args == (failing.EXIT_STATUS,)
    text = told()
    assert text.startswith(f"{OWN_FAULT} (ZeroDivisionError: always)")
    assert f"{os.path.basename(__file__)}" in text
    assert "in work\n" in text
    assert Stacks.reason_of(text).startswith("the kernel's own code failed (ZeroDivisionError: always)")


def test_the_reason_is_told_where_user_code_has_closed_the_file_or_opened_another_in_its_place(
    told, tmp_path, monkeypatch
):
    opened = []
    monkeypatch.setattr(failing, "_open", lambda *arguments: opened.append(os.open(*arguments)) or opened[-1])
    os.close(failing._File.descriptor)
    with pytest.raises(Ended):
        failing.end_worker(ValueError("closed"))
    opened.append(os.open(tmp_path / "of the user", os.O_RDWR | os.O_CREAT))
    monkeypatch.setattr(failing._File, "descriptor", opened[-1])
    with pytest.raises(Ended):
        failing.end_worker(ValueError("another"))
    for descriptor in opened:
        os.close(descriptor)
    assert "(ValueError: closed)" in told()
    assert "(ValueError: another)" in told()
    assert (tmp_path / "of the user").read_text() == ""


def test_an_error_that_cannot_be_formatted_ends_it_too(told):
    class HostileError(Exception):
        def __str__(self):
            raise ValueError

    with pytest.raises(Ended):
        failing.end_worker(HostileError())
    assert told().startswith(f"{OWN_FAULT} (ValueError while formatting an error)")


def test_an_error_that_leaves_a_callback_of_the_kernels_ends_the_worker(told):
    @failing.vital
    def callback(number):
        return 1 / number

    assert callback(2) == 0.5
    with pytest.raises(Ended):
        callback(0)
    assert told().startswith(f"{OWN_FAULT} (ZeroDivisionError: division by zero)")


def test_what_is_no_error_leaves_a_callback():
    @failing.vital
    def callback():
        raise SystemExit

    with pytest.raises(SystemExit):
        callback()


def test_a_forked_child_ends_as_its_code_does(monkeypatch):
    monkeypatch.setattr(forks, "_worker", os.getppid())

    def work():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing.insist(work, show=lambda error: None)
    with pytest.raises(ZeroDivisionError):
        failing.vital(work)()


@pytest.mark.parametrize("fault", ["", "Fatal Python error: Segmentation fault\n\nThread 1"])
def test_the_fault_of_something_else_is_no_reason_of_the_kernels_own(fault):
    assert Stacks.reason_of(fault) == ""
