"""Start a worker: ``python -m rpyc_kernel.worker FOLDER LISTENER OUT ERR ENGINE [INPUT]``; only a hub does this.

The rest comes on standard input when the hub knows it: ``{"generation": …, "settings": {…}}``. What user code is to
find there instead may come as a further descriptor.
"""

from __future__ import annotations

import faulthandler
import functools
import gc
import importlib
import io
import os
import signal
import sys
from pathlib import Path

from rpyc_kernel.system import originals

if __name__ == "__main__":  # before the imports below, which take from there what the kernel needs
    gc.disable()  # see `heaps.collect_from_here`
    originals.set_apart()

from rpyc_kernel.core.contract import RELEASE, WORKER_VERSION, Kind
from rpyc_kernel.settings import WorkerSettings
from rpyc_kernel.system import bundle_start, heaps, ring
from rpyc_kernel.system.descriptors import take_away
from rpyc_kernel.system.originals import json, logging, socket, threading
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.system.stacks import STACK_SIGNAL
from rpyc_kernel.worker import failing, forks, imports, leaving, printing
from rpyc_kernel.worker.capture import Stream, current_execution, follow_threads
from rpyc_kernel.worker.comms import Comms
from rpyc_kernel.worker.debugging import interactive
from rpyc_kernel.worker.debugging.server import DebugServer
from rpyc_kernel.worker.engines.choice import choose_engine
from rpyc_kernel.worker.event_sink import EventSink
from rpyc_kernel.worker.handlers import Handlers
from rpyc_kernel.worker.interrupts import Interrupts
from rpyc_kernel.worker.main_loop import MainLoop
from rpyc_kernel.worker.order import Order
from rpyc_kernel.worker.prompts import Prompts
from rpyc_kernel.worker.sent_calls import take_call
from rpyc_kernel.worker.serving import make_control
from rpyc_kernel.worker.staged_calls import StagedCalls


def main(arguments: list[str]) -> None:
    """Build the worker's parts, in the order in which they need each other, and run it."""
    folder = RuntimeFolder(Path(arguments[0]))
    listener, *read_ends = (int(argument) for argument in arguments[1:4])
    given = int(arguments[5]) if len(arguments) > 5 else None
    for descriptor in (listener, *read_ends):
        os.set_inheritable(descriptor, False)
    # While the hub finds out what to tell. A worker that cannot load all this ends before it counts as started.
    engine_class = choose_engine(arguments[4])
    _load_the_rest()
    heaps.collect_from_here()
    told = json.load(sys.stdin)
    if told.get("version") != WORKER_VERSION:
        sys.exit(
            f"{sys.executable} has release {RELEASE} of rpyc-kernel, whose workers speak version {WORKER_VERSION} "
            f"of the workers' protocol; the hub speaks version {told.get('version', 0)}; install the hub's release "
            "there"
        )
    generation, settings = int(told["generation"]), WorkerSettings(**told["settings"])
    _leave_standard_input(given)
    # Should nohup have started all this, its children would outlive it, which only those are to that ask for it.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.nice(settings.nice)  # before there are threads: each has what the one had that started it
    os.chdir(settings.cwd)
    sys.setswitchinterval(settings.switch_interval_s)
    # The next hub gets these with the greeting: the folder may vanish, and with it their names.
    ring_file = os.open(folder.ring(generation), os.O_RDWR | os.O_CLOEXEC)
    stacks_file = _report_faults(folder.stacks(generation))
    failing.tell_in(stacks_file, folder.stacks(generation))
    _keep_log()

    interrupts = Interrupts()
    order = Order(tuple(read_ends))
    output = EventSink(folder, generation, interrupts, order)
    streams = output.streams = _replace_streams(output, interrupts, order)
    printing.install(interrupts)
    interactive.install()
    follow_threads()
    try:
        engine = engine_class(
            output.emit, interrupts, settings.kept_values, profile=settings.profile, face=settings.face
        )
    except Exception:
        sys.stderr = sys.__stderr__  # where the hub looks for the reason: the ring is read once there is a worker
        raise
    prompts = Prompts(
        lambda token, execution, prompt, password: output.emit(
            Kind.INPUT_REQUESTED, execution, {"token": token, "prompt": prompt, "password": password}
        ),
        lambda token, execution: output.emit(Kind.INPUT_ANSWERED, execution, {"token": token}),
        interrupts,
    )
    if given is None:
        prompts.install()
    staged = StagedCalls()
    comms = Comms(output.emit)
    comms.install()
    debugger = DebugServer(folder.cells, interrupts)
    loop = MainLoop(
        engine,
        output,
        interrupts,
        functools.partial(take_call, comms, staged, engine.namespace),
        debugger,
    )
    interrupts.install(output.ring.words, loop.loop, current_execution)
    Handlers(loop.loop, loop.survive).install(interrupts)
    leaving.offer(loop.leave)

    def forget_kernel() -> None:
        for stream in streams:
            stream.after_fork()
        interrupts.become_child()
        loop.become_child()

    forks.install(loop.prepare_fork, forget_kernel, descriptors=(*read_ends, ring_file, stacks_file))
    control = make_control(
        forks.keep_from_children(socket.socket(fileno=listener)),
        folder,
        generation,
        descriptors=(*read_ends, ring_file, stacks_file),
        loop=loop,
        engine=engine,
        prompts=prompts,
        staged=staged,
        debugger=debugger,
        first_names=frozenset(engine.namespace),
        methods={"insist": interrupts.insist},
    )
    # What `-m` put first is the runtime folder. User code looks where it is, as at any prompt.
    private = os.path.realpath(folder.path)
    path = [entry for entry in sys.path if os.path.realpath(entry) != private]
    imports.keep_path(path)
    sys.path[:] = ["", *path]
    sys.argv = [""]
    control.start()
    bundle_start.leave_to_user_code()
    loop.run()
    leaving.leave()


def _leave_standard_input(given: int | None) -> None:
    """Descriptor 0 has said what it had to; user code and its children find there what is given, or nothing."""
    os.close(take_away(0))
    if given is None:
        return
    os.dup2(given, 0)
    os.close(given)
    # Anew, as Python's own has found out about another descriptor whether it can seek; the rest is as Python makes it.
    made = sys.stdin
    binary = open(0, "rb", closefd=False)  # noqa: SIM115 - lives as long as the process
    binary.raw.name = "<stdin>"  # type: ignore[attr-defined]
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(binary, made.encoding, made.errors, newline="\n")  # type: ignore[misc]
    sys.stdin.mode = "r"  # type: ignore[misc]


def _report_faults(path: Path) -> int:
    """Write all stacks to a file when a fault kills the process, and where the hub asks by a signal.

    The hub, which takes away what it has read, needs to read from the descriptor that is returned.
    """
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    faulthandler.enable(file, all_threads=True)
    faulthandler.register(STACK_SIGNAL, file, all_threads=True, chain=False)
    return file


def _keep_log() -> None:
    """Log for the kernel's developers; `logging` is the kernel's own here, and that of user code is left alone."""
    stream = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - as below
    logging.basicConfig(stream=stream, level=logging.ERROR)
    threading.excepthook = _log_end_of_thread


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread is not None else "one"
    told = (ended.exc_type, ended.exc_value, ended.exc_traceback)
    logging.critical("a thread of the kernel has failed: %s", name, exc_info=told)  # type: ignore[arg-type]


def _replace_streams(output: EventSink, interrupts: Interrupts, order: Order) -> tuple[Stream, ...]:
    for number, name in ((1, "__stdout__"), (2, "__stderr__")):
        raw = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115 - lives as long as the process
        setattr(sys, name, io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True))
    streams = (
        Stream("<stdout>", ring.STDOUT, 1, output.ring, interrupts, order),
        Stream("<stderr>", ring.STDERR, 2, output.ring, interrupts, order),
    )
    sys.stdout, sys.stderr = streams
    return streams


def _load_the_rest() -> None:
    """Load what serves clients, before user code runs and takes away what an import, or what is imported, needs."""
    importlib.import_module("rpyc_kernel.worker.bulk")
    importlib.import_module("rpyc_kernel.worker.objects")


if __name__ == "__main__":
    main(sys.argv[1:])
