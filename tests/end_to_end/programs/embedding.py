"""embedding.py WAY: programs that open themselves, each a line or two apart from one that does not."""

import asyncio
import os
import sys
import threading

import rpyc_kernel

steps = 0


def block() -> None:
    secret = 42
    rpyc_kernel.embed("demo")
    print("goes on with", secret)


def twice() -> None:
    for count in (1, 2):
        rpyc_kernel.embed("demo")
        print("goes on after", count, input("and says: "))


def thread() -> None:
    global steps
    out = sys.stdout
    with rpyc_kernel.embed("demo", namespace=globals(), main="thread") as kernel:
        print("begins", flush=True)
        while not kernel.wait(0.01):
            steps += 1
    left = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
    print("goes on", sys.stdout is out, left)
    with rpyc_kernel.embed("demo", namespace={}, main="thread"):
        print("again")
    raise SystemExit(3)


def poll() -> None:
    kernel = rpyc_kernel.embed("demo", namespace=globals(), main="poll")
    while kernel.poll(0.05):
        pass
    print("goes on")


def loop() -> None:
    async def serve() -> None:
        kernel = rpyc_kernel.embed("demo", namespace=globals(), main="loop")
        while kernel.is_open:
            await asyncio.sleep(0.01)
        print("goes on")

    asyncio.run(serve())


def qt() -> None:
    from PySide6.QtCore import QCoreApplication, QTimer

    application = QCoreApplication([])
    kernel = rpyc_kernel.embed("demo", namespace=globals(), main="poll")
    timer = QTimer()
    timer.timeout.connect(lambda: kernel.poll() or application.quit())
    timer.start(10)
    application.exec()
    print("goes on")


def flask() -> None:
    from flask import Flask
    from werkzeug.serving import make_server

    application = Flask("application")
    application.route("/")(lambda: "answered")
    server = make_server("127.0.0.1", 0, application)
    with rpyc_kernel.embed("demo", namespace={"application": application}, main="thread") as kernel:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        kernel.wait()
    server.shutdown()
    serving.join()
    server.server_close()
    print("goes on")


def fork() -> None:
    with rpyc_kernel.embed("demo", namespace={}, main="thread") as kernel:
        pid = os.fork()
        if pid == 0:
            try:
                rpyc_kernel.embed("other", main="thread")
            except rpyc_kernel.RequestError as error:
                print(error, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        print("open", kernel.is_open)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
