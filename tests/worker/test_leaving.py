"""The end of a program, after which the kernel goes on."""

import atexit

import pytest

from rpyc_kernel.worker import leaving


@pytest.mark.parametrize("ending", [None, KeyboardInterrupt, SystemExit])
def test_what_is_kept_for_last_stays_registered_whatever_a_programs_last_functions_raise(monkeypatch, ending):
    registered = ["the kernel's", "the program's"]
    ran = []

    def run():
        ran.extend(registered)
        registered.clear()
        if ending is not None:
            raise ending

    monkeypatch.setattr(leaving, "_last", [])
    monkeypatch.setattr(atexit, "register", registered.append)
    monkeypatch.setattr(atexit, "unregister", registered.remove)
    monkeypatch.setattr(atexit, "_run_exitfuncs", run)
    monkeypatch.setattr(leaving, "_join_threads", lambda: None)
    leaving.keep_for_last("the kernel's")
    if ending is None:
        leaving.end_program()
    else:
        with pytest.raises(ending):
            leaving.end_program()
    assert (ran, registered) == (["the program's"], ["the kernel's"])
