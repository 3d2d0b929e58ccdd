"""What children of the worker must not have."""

import os
import socket
import subprocess
import sys

from rpyc_kernel.worker import forks


def test_a_kernels_socket_never_has_the_number_of_a_standard_stream():
    kept = os.dup(0)
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            os.dup2(ours.fileno(), 0)  # as the system would number it where standard input is closed
            ours.close()
            ours = forks.keep_from_children(socket.socket(fileno=0))
            assert ours.fileno() > 2
            with ours:
                theirs.sendall(b"x")
                assert ours.recv(1) == b"x"
                assert not os.get_inheritable(ours.fileno())
        finally:
            os.dup2(kept, 0)
            os.close(kept)


def test_nobody_is_warned_of_the_kernels_own_threads():
    program = """\
import warnings
from rpyc_kernel.worker import forks
forks.install(lambda: None, lambda: None)
warnings.warn("This process (pid=7) is multi-threaded, use of fork() may lead to deadlocks.", DeprecationWarning)
warnings.warn("something else", DeprecationWarning)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "something else" in ended.stderr
    assert "multi-threaded" not in ended.stderr


def test_a_child_switches_threads_as_often_as_ever():
    program = """\
import os, sys
from rpyc_kernel.system import switching
from rpyc_kernel.worker import forks
forks.install(lambda: None, lambda: None)
usual = sys.getswitchinterval()
switching.expect()
assert sys.getswitchinterval() < usual
child = os.fork()
if not child:
    os._exit(sys.getswitchinterval() != usual)
sys.exit(os.waitpid(child, 0)[1])
"""
    subprocess.run([sys.executable, "-c", program], check=True)
