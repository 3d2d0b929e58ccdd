"""Every command and every channel of a real kernel, tried by the bearers of every kind of key."""

import contextlib
import os
import time

import pytest
from rpyc.utils.factory import unix_connect

import rpyc_kernel
from rpyc_kernel import AuthenticationFailed, ConnectionLost, KernelError, NotPermitted
from rpyc_kernel.client.address import resolve
from rpyc_kernel.client.archive import forget
from rpyc_kernel.client.doors import TcpDoor
from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.commands import COMMANDS
from rpyc_kernel.core.contract import ROLES, Role
from rpyc_kernel.frozen import changed
from rpyc_kernel.settings import ClientSettings, Folders
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.wire import handshake
from rpyc_kernel.wire.connection_file import ConnectionFile
from rpyc_kernel.wire.handshake import Identity
from rpyc_kernel.wire.keys import Key
from tests.core.test_commands import right_values
from tests.end_to_end.clients import PATIENCE_S

SETTINGS = ClientSettings(timeout_s=PATIENCE_S)
BEARERS = [(Role.VIEWER, False), (Role.VIEWER, True), (Role.ASKER, False), (Role.EDITOR, False), (Role.OWNER, False)]
ENDING = ("restart", "shutdown")
"""What is tried last, where it is open."""


def address_of(invitation):
    """Where its bearer comes to."""
    own = resolve("demo")
    file = ConnectionFile.read(Home(Folders.from_environment().state / "demo").connection_file)
    key = Key(bytes.fromhex(invitation.secret), invitation.id)
    return changed(own, key=key, door=TcpDoor(file.host, file.port))


def come_in(invitation, *, role="", channel=handshake.COMMANDS):
    return HubConnection(address_of(invitation), channel, Identity(role=role), SETTINGS)


def give(connection, command):
    """Give a command, with arguments that it takes; whether it is open to this connection."""
    try:
        connection.call(command, *right_values(command), read=lambda answer: answer)
    except NotPermitted as error:
        return not str(error).endswith(f"; it cannot {command.cannot}")
    except ConnectionLost:
        raise
    except KernelError:  # nothing asks or waits, and nobody of that name was invited
        pass
    return True


def try_all(connection, asked, sees, known):
    """Give every command; those that have been answered to others of this kind need not be answered again."""
    tried = [each for name, each in COMMANDS.items() if name not in ENDING or asked != Role.OWNER]
    open_to_all = {each.name for each in tried if each.is_open_to(asked, has_values=sees)}
    again = {name for name in open_to_all if (asked, sees, name) in known and COMMANDS[name].by_worker}
    found = {each.name for each in tried if each.name not in again and give(connection, each)}
    assert found == open_to_all - again
    known |= {(asked, sees, name) for name in found}


def try_channel(invitation, channel, asked, least):
    """Open a channel to the worker, or be told why not."""
    if Role.allows(asked, least):
        sock, _ = address_of(invitation).enter(channel, Identity(role=asked), PATIENCE_S)
        sock.close()
        return
    with pytest.raises(NotPermitted, match=f"'ann' is here as {asked}; it cannot use live objects"):
        address_of(invitation).enter(channel, Identity(role=asked), PATIENCE_S)


def test_each_key_opens_what_the_table_says_and_nothing_else(kernel):
    known = set()
    for role, values in BEARERS:
        invitation = kernel.invite(role, name="ann", values=values)
        for asked in ROLES:
            if not Role.allows(role, asked):
                with pytest.raises(NotPermitted, match=f"gives the role '{role}', and not '{asked}'"):
                    come_in(invitation, role=asked)
                continue
            for channel, least in handshake.CHANNEL_ROLES.items():
                if channel in (handshake.COMMANDS, handshake.EVENTS):
                    with contextlib.closing(come_in(invitation, role=asked, channel=channel)) as connection:
                        try_all(connection, asked, values or Role.allows(role, Role.EDITOR), known)
                else:
                    try_channel(invitation, channel, asked, least)
    stock = unix_connect(str(RuntimeFolder(Folders.from_environment().runtime / "demo").rpyc_socket))
    with contextlib.closing(stock):  # who can open the socket is the owner
        assert dict(stock.root.hello())["role"] == Role.OWNER
        assert len(stock.root.invitations()) >= len(BEARERS)
    with contextlib.closing(come_in(invitation)) as connection:
        assert all(give(connection, COMMANDS[name]) for name in ENDING)
    assert kernel.wait_until_closed(PATIENCE_S)


def test_live_objects_of_a_revoked_or_kicked_client_end_with_it_and_an_invitation_outlives_hub_and_kernel(kernel):
    invitation = kernel.invite("editor", name="ann", expires=None)
    secret = invitation.secret
    kernel.execute("x = [1, 2, 3]", timeout=PATIENCE_S)
    with KernelClient(address_of(invitation), name="root", timeout=PATIENCE_S) as ann:
        assert (ann.client_name, ann.session[:16]) == ("ann", invitation.id)
        assert len(ann.namespace["x"]) == 3
        live = ann.namespace["x"]
        kernel.kick(ann.session)
        with pytest.raises((EOFError, KernelError, OSError)):
            wait_for_the_end(lambda: len(live))
        assert ann.wait_until_closed(PATIENCE_S)
    kernel.shutdown()
    with rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S) as again:
        with KernelClient(address_of(invitation), timeout=PATIENCE_S) as ann:
            live = ann.namespace
            live["y"] = 1
            again.revoke(invitation.id)
            with pytest.raises((EOFError, KernelError, OSError)):
                wait_for_the_end(lambda: live["y"])
        with pytest.raises(
            AuthenticationFailed, match=r"of 'ann' was revoked on .* UTC; ask the owner for another one"
        ):
            KernelClient(address_of(invitation))
        told = [event for event in again.events(since=0, follow=False) if event.kind.startswith(("invit", "client_k"))]
        assert [(event.kind, event.name) for event in told] == [
            ("invitation_given", "ann"),
            ("client_kicked", "ann"),
            ("invitation_revoked", "ann"),
        ]
        # The secret stands in one file, and in no environment of user code.
        found = again.eval("str(__import__('os').environ)")
        assert secret not in found
        again.shutdown()
    holding = [path.name for path in kernel_files() if secret.encode() in path.read_bytes()]
    assert holding == ["invitations.json"]
    forget("demo")
    assert list(kernel_files()) == []


def kernel_files():
    folders = Folders.from_environment()
    for top in (folders.state, folders.runtime):
        for folder, _, names in os.walk(top):
            yield from (Home(top).path / folder / name for name in names)


def wait_for_the_end(call):
    """Call until it fails, as it must within a moment."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        call()
