"""A kernel of another machine: executions, prints and large values by each road there, beside the peers' own roads.

The other machine is this one, reached by its sockets, or by OpenSSH's server on loopback with a home of its own. What
is measured is the price of the roads themselves, and no network.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import rpyc
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import tunnel_to_kernel
from plumbum import SshMachine, local
from rpyc.core.service import ClassicService
from rpyc.utils.zerodeploy import DeployedServer

import rpyc_kernel
from benchmarks import peers
from benchmarks.against_ipykernel import Peer, own_folders, seconds_to_text
from benchmarks.measure import RECORD, report, timed
from benchmarks.objects import raw_sender, receive_raw
from rpyc_kernel import KernelClient
from rpyc_kernel.client import ssh_login
from rpyc_kernel.settings import Folders
from rpyc_kernel.wire.connection_file import ConnectionFile
from tests.support import sshd
from tests.support.floods import flooding

_PER_ROUND = 50
_WARM = 20
_MB = 256
_STOCK_MB = 8
"""Stock RPyC carries values by copies of copies; of more of them the rate is the same."""
_UNIX, _TCP, _TLS, _SSH = ROADS = ("unix socket", "TCP", "TLS", "ssh")
_IPYKERNEL, _TUNNEL = "ipykernel", "ipykernel by its ssh tunnel"
_STOCK, _STOCK_TLS, _DEPLOYED, _CONNECTED = "stock rpyc", "stock rpyc over TLS", "zerodeploy", "rpyc's ssh_connect"
_RAW, _CAT = "raw socket", "ssh cat"
_BESIDE = {
    _UNIX: (_RAW, _IPYKERNEL, _STOCK),
    _TCP: (_RAW, _UNIX, _IPYKERNEL, _STOCK),
    _TLS: (_RAW, _UNIX, _TCP, _STOCK_TLS),
    _SSH: (_RAW, _TCP, _TUNNEL, _CONNECTED, _DEPLOYED, _CAT),
}
_EXECUTE, _PRINT, _PULL = "execute 'pass' to reply", "print(1) to seen", f"pull of {_MB} MB"
_UNITS = {_EXECUTE: "ms", _PRINT: "ms", _PULL: "MB/s"}
_AIMS = {(_EXECUTE, _TLS): f"at most 1.3x {_TCP}", (_PULL, _SSH): f"0.7x {_CAT}"}
_NAME = "bench-remote"
_HOST = "alpha"
_PROGRAMS = ("cat", "env", "mkdir", "mktemp", "rm", "sleep", "tar", "test", "true", "uname", "which")
"""What plumbum and the peers call over there."""


@dataclass(frozen=True)
class Side:
    """What one side can do over one road; each answers with its figure, and what it cannot do is None."""

    execute: Callable[[], float] | None = None
    print: Callable[[], float] | None = None
    pull: Callable[[], float] | None = None

    @property
    def works(self) -> dict[str, Callable[[], float]]:
        """By name."""
        works = {_EXECUTE: self.execute, _PRINT: self.print, _PULL: self.pull}
        return {name: work for name, work in works.items() if work is not None}


def main(rounds: int = 5) -> list[str]:
    """Print the report; returns what could not be measured here."""
    print(f"Python {platform.python_version()}, rpyc {rpyc.__version__}, {os.cpu_count()} processors")
    with own_folders(), ExitStack() as opened:
        sides, left_out = _open_sides(opened)
        figures = _measure(sides, rounds)
        flooded = _measure_flooded(sides, rounds)
    rows = []
    for work, unit in _UNITS.items():
        for road in filter(figures[work].__contains__, ROADS):
            found = {"ours": figures[work][road], **{side: figures[work].get(side, []) for side in _BESIDE[road]}}
            medians = {side: statistics.median(each) for side, each in found.items() if each}
            low, _, high = statistics.quantiles(found["ours"], n=4)
            rows.append(
                RECORD.add(
                    f"{work}, {road}",
                    unit,
                    medians,
                    aim=_AIMS.get((work, road), ""),
                    more_is_better=unit == "MB/s",
                    spread=(low, high),
                )
            )
    rows += [
        RECORD.add(f"{_EXECUTE}, {road}, while strangers flood the port", "ms", {"ours": figure, "at rest": at_rest})
        for road, figure, at_rest in flooded
    ]
    report("by each road; the peer shown is the last of those beside", rows)
    print()
    for row in rows:
        beside = ", ".join(f"{side} {figure:.3g}" for side, figure in row.figures.items() if side != "ours")
        print(f"{row.work:<40} {row.ours:>8.3g} {row.unit:<5} beside: {beside}")
    return left_out


def _measure(sides: dict[str, Side], rounds: int) -> dict[str, dict[str, list[float]]]:
    figures: dict[str, dict[str, list[float]]] = {work: {} for work in _UNITS}
    for number in range(rounds + 1):  # in turns, so that all meet the same weather; the first turn only warms up
        for work in _UNITS:  # what a pull leaves behind would else be met by the next road alone
            for name, side in sides.items():
                if work not in side.works:
                    continue
                count = 1 if work == _PULL else _PER_ROUND if number else _WARM
                found = [side.works[work]() for _ in range(count)]
                if number or (rounds < 2 and work == _PULL):
                    figures[work].setdefault(name, []).extend(found)
    return figures


def _measure_flooded(sides: dict[str, Side], rounds: int) -> list[tuple[str, float, float]]:
    """Executions of those who are inside, at rest and while others come and fail to get in, in turns.

    Each road is the first one in turn: a flood is worst while it begins, as those who fail are cut at once soon.
    """
    (info,) = [found for found in rpyc_kernel.kernels() if found.name == _NAME]
    figures: dict[tuple[str, bool], list[float]] = {}
    roads = [_UNIX, _TCP, _TLS]
    for _ in range(rounds):
        for is_flooded in (False, True):
            with flooding((info.host, info.port)) if is_flooded else nullcontext():
                for road in roads:
                    found = [sides[road].works[_EXECUTE]() for _ in range(_PER_ROUND)]
                    figures.setdefault((road, is_flooded), []).extend(found)
        roads.append(roads.pop(0))
    return [
        (road, statistics.median(figures[road, True]), statistics.median(figures[road, False]))
        for road in (_UNIX, _TCP, _TLS)
    ]


# ------------------------------------------------------------------ the sides


def _open_sides(opened: ExitStack) -> tuple[dict[str, Side], list[str]]:
    array = numpy.random.default_rng(1).random(_MB * 1_000_000 // 8)
    kernel = opened.enter_context(rpyc_kernel.start(_NAME, engine="plain"))
    opened.callback(kernel.shutdown)
    kernel.push(array=array)
    key = ConnectionFile.read(Folders.from_environment().runtime / _NAME / "kernel.json").key
    (info,) = [found for found in rpyc_kernel.kernels() if found.name == _NAME]
    kernel.listen("127.0.0.1", tls=True)
    invitation = kernel.invite("owner").connect_string("127.0.0.1")
    secure = opened.enter_context(rpyc_kernel.connect(invitation))
    remote = opened.enter_context(rpyc_kernel.connect(f"tcp://{info.host}:{info.port}", key=key))
    raw = opened.enter_context(raw_sender(array.nbytes))
    stock, _ = opened.enter_context(peers.server("stock_rpyc"))
    home = Folders.from_environment().state / _NAME  # where the kernel's certificate is
    stock_tls, _ = opened.enter_context(peers.server("stock_rpyc_tls", str(home)))
    peer = Peer()
    opened.callback(peer.close)
    sides = {
        _UNIX: _ours(kernel),
        _TCP: _ours(remote),
        _TLS: _ours(secure),
        _RAW: Side(pull=lambda: _MB / timed(lambda: receive_raw(raw, array.nbytes))),
        _IPYKERNEL: _of_ipykernel(peer),
        _STOCK: _of_stock(opened, rpyc.connect("127.0.0.1", stock, service=ClassicService)),
        _STOCK_TLS: _of_stock(opened, rpyc.ssl_connect("127.0.0.1", stock_tls, service=ClassicService)),
    }
    left_out = []
    hindrance = sshd.find_hindrance()
    if hindrance:
        left_out.append(f"by ssh: {hindrance}")
    else:
        sides |= _open_ssh_sides(opened, array.nbytes)
    return sides, left_out


def _open_ssh_sides(opened: ExitStack, size: int) -> dict[str, Side]:
    hosts = opened.enter_context(sshd.running_hosts())
    opened.enter_context(_ssh_leads_there(hosts))
    for program in _PROGRAMS:
        hosts.alpha.add_program(program, f'#!/bin/sh\nPATH=/usr/bin:/bin exec {program} "$@"\n')
    peer = _TunnelledPeer()
    opened.callback(peer.close)
    deployed = DeployedServer(SshMachine(_HOST), python_executable=sys.executable)
    opened.callback(deployed.close)
    stock, _ = opened.enter_context(peers.server("stock_rpyc"))
    machine = SshMachine(_HOST)
    opened.callback(machine.close)
    file = hosts.alpha.home / "data"
    file.write_bytes(bytes(size))
    kernel = opened.enter_context(rpyc_kernel.start(f"ssh://{_HOST}/bench-far", engine="plain", python=sys.executable))
    opened.callback(kernel.shutdown)
    kernel.execute(f"import numpy; array = numpy.ones({size} // 8)")
    return {
        _SSH: _ours(kernel),
        _TUNNEL: _of_ipykernel(peer),
        _DEPLOYED: _of_stock(opened, deployed.connect(ClassicService)),
        _CONNECTED: _of_stock(opened, rpyc.utils.factory.ssh_connect(machine, stock, ClassicService)),
        _CAT: Side(pull=lambda: _MB / timed(lambda: _read_by_ssh(file, size))),
    }


def _ours(kernel: KernelClient) -> Side:
    return Side(
        execute=lambda: timed(lambda: kernel.execute("pass")) * 1e3,
        print=lambda: seconds_to_text(kernel, "print(1)") * 1e3,
        pull=lambda: _MB / timed(lambda: kernel.pull("array")),
    )


def _of_ipykernel(peer: Peer) -> Side:
    return Side(execute=lambda: peer.execute("pass") * 1e3, print=lambda: peer.seconds_to_text("print(1)") * 1e3)


class _TunnelledPeer(Peer):
    """An ipykernel whose clients go through the tunnels that jupyter_client makes."""

    def make_client(self) -> BlockingKernelClient:
        info = self.manager.get_connection_info()
        names = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
        client = BlockingKernelClient()
        client.load_connection_info({**info, **dict(zip(names, tunnel_to_kernel(info, _HOST), strict=True))})
        return client


class _Screen:
    """Stands where the other side prints, and notes when text came."""

    def __init__(self) -> None:
        self.seen_at = 0.0

    def write(self, text: str) -> None:
        self.seen_at = self.seen_at or time.perf_counter()

    def flush(self) -> None:
        pass


def _of_stock(opened: ExitStack, connection: Any) -> Side:
    opened.callback(connection.close)
    connection.execute(f"data = bytes({_STOCK_MB * 1_000_000})")
    screen = _Screen()
    connection.modules.sys.stdout = screen
    opened.callback(connection.execute, "import sys; sys.stdout = sys.__stdout__")

    def print_and_see() -> float:
        screen.seen_at = 0.0
        begin = time.perf_counter()
        connection.execute("print(1)")
        return screen.seen_at - begin

    return Side(
        execute=lambda: timed(lambda: connection.execute("pass")) * 1e3,
        print=lambda: print_and_see() * 1e3,
        pull=lambda: _STOCK_MB / timed(lambda: connection.namespace["data"]),
    )


# ------------------------------------------------------------------ ssh


@contextmanager
def _ssh_leads_there(hosts: sshd.Hosts) -> Iterator[None]:
    """Have all who call `ssh` and `scp` know the hosts: not every peer can be told of a configuration.

    jupyter_client's tunnels go to the background at a terminal that is closed at once; on a busy machine its hang-up
    comes before they have left it, and ends them.
    """
    folder = hosts.config.parent / "bin"
    folder.mkdir()
    for program in ("ssh", "scp"):
        script = folder / program
        script.write_text(
            f'#!/bin/sh\ntrap "" HUP\nexec {shutil.which(program)} -F {shlex.quote(str(hosts.config))} "$@"\n'
        )
        script.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
    try:
        with local.env(PATH=os.environ["PATH"]):  # plumbum has an environment of its own
            yield
    finally:
        os.environ["PATH"] = before
        ssh_login.log_out()


def _read_by_ssh(file: Path, size: int) -> None:
    """What OpenSSH itself can do: its client's standard output, read into memory."""
    with subprocess.Popen(["ssh", _HOST, "cat", str(file)], stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        into = memoryview(bytearray(size))
        done = 0
        while done < size and (count := process.stdout.readinto(into[done:])):
            done += count
    assert done == size, f"ssh cat brought {done} of {size} bytes"
