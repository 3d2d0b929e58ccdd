"""embedding_ends.py WAY: programs with a kernel that is open still when they end."""

import multiprocessing
import os
import signal
import sys
import threading
from typing import Any

import rpyc_kernel


def embed(main: str = "thread") -> Any:
    """Open the kernel, and wait for the word to go on."""
    kernel = rpyc_kernel.embed("demo", namespace=globals(), main=main)
    print("begins", flush=True)
    sys.stdin.readline()
    return kernel


def exits() -> None:
    embed()
    sys.exit(5)


def exits_at_once() -> None:
    embed()
    os._exit(6)


def is_killed() -> None:
    embed()
    os.kill(os.getpid(), signal.SIGKILL)


def is_terminated() -> None:
    embed()
    os.kill(os.getpid(), signal.SIGTERM)


def raises() -> None:
    embed()
    raise ValueError("of the program")


def blocks_in_a_daemon() -> None:
    threading.Thread(target=lambda: rpyc_kernel.embed("demo", namespace=globals()), daemon=True).start()
    print("begins", flush=True)
    sys.stdin.readline()
    print("goes on", flush=True)


def forks() -> None:
    kernel = embed()
    child = multiprocessing.get_context("fork").Process(target=embed_again)
    child.start()
    child.join()
    print(f"child {child.exitcode}, open {kernel.is_open}")


def embed_again() -> None:
    try:
        rpyc_kernel.embed("other", main="thread")
    except rpyc_kernel.RequestError as error:
        print(error, flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
