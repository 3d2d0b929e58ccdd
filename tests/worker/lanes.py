"""A worker's lanes with nothing behind them: an engine that runs functions, and an output that is a list."""

import socket
import threading

from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.system import frames
from rpyc_kernel.worker.capture import current_execution
from rpyc_kernel.worker.debugging.server import DebugServer
from rpyc_kernel.worker.interrupts import Interrupts
from rpyc_kernel.worker.main_loop import MainLoop
from tests.support.waiting import wait_until


class FakeEngine:
    """Runs functions instead of code; the outcome is what they return."""

    def __init__(self):
        self.runs = []
        self.reported = []

    def run(self, execution, code, form=None, count=None):
        self.runs.append((execution, code, current_execution.get(), threading.current_thread().name))
        return self.behave(code) or Outcome.OK

    def behave(self, code):
        return None

    def start_up(self):
        pass

    def report(self, execution, error):
        self.reported.append((execution, type(error)))
        return Outcome.ERROR


class FakeOutput:
    def __init__(self):
        self.finished = []
        self.leave_after = 0
        self.on_finished = lambda: None

    def emit(self, kind, execution, payload):
        if kind == Kind.FINISHED:
            self.on_finished()
            self.finished.append((execution, payload["outcome"]))
            if len(self.finished) == self.leave_after:
                self.leave()

    def connect(self, hub):
        pass


class Worker:
    def __init__(self):
        self.engine, self.output = FakeEngine(), FakeOutput()
        self.loop = MainLoop(self.engine, self.output, Interrupts(), None, DebugServer("", Interrupts()))

    def run(self, *codes):
        """Hand codes over as a hub does, and run the loop until all of them have ended."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            for number, code in enumerate(codes, len(self.output.finished) + 1):
                frames.send(ours, (number, code, None, None, number, False))
            self.output.leave_after = len(self.output.finished) + len(codes)
            self.output.leave = self.loop.leave
            self.loop.take_hub(theirs)
            self.loop.run()

    def wait_for_end(self, count):
        wait_until(lambda: len(self.output.finished) >= count, what=f"{count} ends")
