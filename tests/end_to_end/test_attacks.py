"""Attacks on a real kernel by those who have no key, or another one: nothing gets in, and nobody inside notices."""

import base64
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import AuthenticationFailed, ConnectionFailed, KernelClient
from rpyc_kernel.client import connect_string
from rpyc_kernel.client.invitation import Invitation
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.settings import Folders
from rpyc_kernel.system.home import Home
from rpyc_kernel.wire.connection_file import ConnectionFile
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.health import assert_goes_on
from tests.support.floods import flooding
from tests.support.processes import HAS_PROC
from tests.support.proxy import DOWN, UP, Proxy, proxying
from tests.support.waiting import wait_until

REPLY_BYTES = 72
ASKED = 15
"""How often each who belongs here asks while the flood stands."""


def read_file() -> ConnectionFile:
    return ConnectionFile.read(Home(Folders.from_environment().state / "demo").connection_file)


def connect_by(proxy: Proxy, **options: object) -> KernelClient:
    return rpyc_kernel.connect(proxy.address, key=read_file().key, timeout=PATIENCE_S, **options)


class Recorder:
    """Hears all that passes a proxy while one connection after the other is made by it."""

    def __init__(self, proxy: Proxy) -> None:
        self.said = {UP: b"", DOWN: b""}
        proxy.tap = self._hear

    def _hear(self, way: str, piece: bytes) -> bytes:
        self.said[way] += piece
        return piece


# ---------------------------------------------------------------------- what was overheard


@pytest.fixture
def overheard(kernel: KernelClient) -> dict[str, bytes]:
    """All that a client with a key and its hub have said, from the first byte on."""
    file = read_file()
    with proxying((file.host, file.port)) as proxy:
        recorder = Recorder(proxy)
        with connect_by(proxy, name="ann") as ann:
            ann.execute("runs = globals().get('runs', 0) + 1", timeout=PATIENCE_S)
    assert file.key.encode() not in recorder.said[UP] + recorder.said[DOWN]
    assert bytes.fromhex(file.key) not in recorder.said[UP] + recorder.said[DOWN]
    return recorder.said


def test_a_session_that_was_overheard_and_is_played_again_runs_nothing(kernel, overheard):
    file = read_file()
    before = kernel.status()["last"]
    with socket.create_connection((file.host, file.port), timeout=PATIENCE_S) as sock:
        with suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(overheard[UP])
        answer = b""
        with suppress(ConnectionResetError):
            while piece := sock.recv(4096):
                answer += piece
    # The hub's proof, which is another each time, and that the client's is wrong; after a reset not even all of that.
    assert len(answer) <= REPLY_BYTES + 7
    assert answer[:REPLY_BYTES] != overheard[DOWN][:REPLY_BYTES]
    assert kernel.eval("runs") == 1
    told = [event.kind for event in kernel.events(since=before, follow=False)]
    assert Kind.CLIENT_JOINED not in told
    assert Kind.QUEUED not in told[1:]  # the question above is the one


def test_a_hub_that_was_overheard_and_is_played_again_learns_nothing(kernel, overheard):
    heard = b""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            nonlocal heard
            victim, _ = listener.accept()
            with victim, suppress(OSError):
                victim.sendall(overheard[DOWN])
                while piece := victim.recv(4096):
                    heard += piece

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(AuthenticationFailed, match="does not know the key"):
            rpyc_kernel.connect(
                f"tcp://127.0.0.1:{listener.getsockname()[1]}", key=read_file().key, name="ann", timeout=PATIENCE_S
            )
        thread.join()
    assert b"ann" not in heard
    assert len(heard) == 48  # its hello, and nothing after it


# ---------------------------------------------------------------------- floods


@pytest.mark.parametrize("security", ["plain", "tls"])
def test_while_strangers_flood_the_port_all_who_belong_here_are_answered(kernel, security):
    file = read_file()
    door, key = f"tcp://{file.host}:{file.port}", file.key
    if security == "tls":
        port = kernel.listen("127.0.0.1", tls=True)["port"]
        door, key = kernel.invite("owner").connect_string("127.0.0.1"), None
    else:
        port = file.port
    with flooding(("127.0.0.1", port)) as flood:
        wait_until(lambda: min(flood.counts) > 10, PATIENCE_S, "the flood to stand")
        for number in range(ASKED):
            assert kernel.execute(f"{number}", timeout=PATIENCE_S).value == number
            with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as by_name:
                assert by_name.eval("6 * 7", timeout=PATIENCE_S) == 42
        with rpyc_kernel.connect(door, key=key, timeout=PATIENCE_S) as by_port:
            assert by_port.eval("6 * 7", timeout=PATIENCE_S) == 42
            seen = sum(flood.counts)
            wait_until(lambda: sum(flood.counts) > seen, PATIENCE_S, "the flood to go on")
            assert by_port.eval("6 * 7", timeout=PATIENCE_S) == 42
    assert_goes_on(kernel)


# ---------------------------------------------------------------------- TLS


@pytest.fixture
def invitation(kernel: KernelClient) -> Invitation:
    """Of an editor, to a kernel that speaks TLS as well."""
    kernel.listen("127.0.0.1", tls=True)
    return kernel.invite("editor", name="ann")


@pytest.mark.parametrize("way", [UP, DOWN])
def test_who_changes_one_byte_on_its_way_ends_the_connection_and_runs_nothing(kernel, invitation, way):
    """Wherever it is: in the handshakes, or in what is said by those who are inside."""
    there = next(each for each in invitation.listening if each["security"] == "tls")
    kernel.execute("runs = 0", timeout=PATIENCE_S)
    whole = 0
    for place in (0, 20, 300, 900, 1500, 2100, None):
        with proxying(("127.0.0.1", there["port"])) as proxy:
            passed = 0

            def change(direction: str, piece: bytes, place: int | None = place) -> bytes:
                nonlocal passed
                if direction != way:
                    return piece
                begin, passed = passed, passed + len(piece)
                if place is None or not begin <= place < passed:
                    return piece
                at = place - begin
                return piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]

            proxy.tap = change
            text = invitation.connect_string("127.0.0.1").replace(f":{there['port']}/", f":{proxy.listens_at[1]}/")
            try:
                with rpyc_kernel.connect(text, timeout=PATIENCE_S, reconnect=0) as ann:
                    for _ in range(20):
                        ann.execute("runs += 1", timeout=PATIENCE_S)
            except ConnectionFailed:
                assert place is not None
            else:
                whole += 1
                assert place is None or passed <= place  # it was not reached
            # What was taken before it is changed has run; what was changed has not.
            assert whole * 20 <= kernel.eval("runs") <= (whole + 1) * 20
    assert whole >= 1


# ---------------------------------------------------------------------- secrets


def forms_of(secret: bytes) -> list[bytes]:
    """As it is, and as it may be written."""
    encoded = base64.urlsafe_b64encode(secret).rstrip(b"=")
    return [secret, secret.hex().encode(), encoded, base64.b64encode(secret).rstrip(b"=")]


def read_all(paths: Iterable[Path]) -> list[tuple[str, bytes]]:
    """The name and the content of each that can be read: others are somebody else's, or gone."""
    read = []
    for path in paths:
        with suppress(OSError):
            read.append((path.name, path.read_bytes()))
    return read


@pytest.mark.own_kernel
def test_after_a_session_with_an_invitation_no_secret_stands_where_somebody_could_find_it(kernel, invitation, folders):
    text = invitation.connect_string("127.0.0.1")
    code = "import os, threading; print(os.environ); gate = threading.Event(); gate.wait(300)"
    command = [sys.executable, "-m", "rpyc_kernel", "exec"]
    environment = {**os.environ, connect_string.VARIABLE: text}
    shown = text.partition("#")[0]
    ways = {"-": text, text: "", shown: ""}  # by standard input, on the command line, in the environment
    told = b""
    for target, said in ways.items():
        with subprocess.Popen(
            [*command, target, code],
            env=environment if target == shown else None,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            process.stdin.write(f"{said}\n".encode() if said else b"")
            process.stdin.flush()
            if said:
                process.stdin.close()
            wait_until(lambda: kernel.status()["running"], PATIENCE_S, "the code of the invited")
            seen_by_all = read_all(Path("/proc").glob("[0-9]*/cmdline")) if HAS_PROC else []
            own = [kernel.status()[name] for name in ("hub_pid", "worker_pid")]
            seen_by_code = read_all(Path(f"/proc/{pid}/environ") for pid in own) if HAS_PROC else []
            wait_until(lambda: "gate" in kernel.namespace, PATIENCE_S, "the gate")
            kernel.namespace["gate"].set()
            told += process.stdout.read()
            assert process.wait(PATIENCE_S) == 0, told
            del kernel.namespace["gate"]
        for _, found in (*seen_by_all, *seen_by_code):
            assert not any(form in found for form in forms_of(bytes.fromhex(invitation.secret)))
    with rpyc_kernel.connect(text, timeout=PATIENCE_S) as ann, pytest.raises(rpyc_kernel.NotPermitted) as refused:
        ann.invite("viewer")
    seen = [invitation, ann, refused.value, kernel, kernel.status(), kernel.sessions(), kernel.invitations()]
    seen += [event.as_dict() for event in kernel.events(since=0, follow=False)]
    kernel.shutdown(timeout=PATIENCE_S)
    secrets = {
        "invitations.json": forms_of(bytes.fromhex(invitation.secret)),
        "key": forms_of(bytes.fromhex((folders.state / "demo" / "key").read_text().strip())),
    }
    files = read_all(path for top in (folders.state, folders.runtime) for path in top.rglob("*"))
    assert {"journal.sqlite", "hub.log", *secrets} <= {name for name, _ in files}
    for holder, forms in secrets.items():
        holding = {name for name, content in files if any(form in content for form in forms)}
        assert holding == {holder}
        assert not any(form in repr(seen).encode() + told for form in forms)
