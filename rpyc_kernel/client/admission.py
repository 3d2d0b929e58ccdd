"""Who may come in to a kernel, by what key and at what port: what its owner decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rpyc_kernel.client.arguments import check_methods
from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.core import commands
from rpyc_kernel.core.contract import Security
from rpyc_kernel.errors import RequestError
from rpyc_kernel.settings import LOCAL, parse_listen

if TYPE_CHECKING:
    from rpyc_kernel.client.invitation import Invitation


@check_methods
class Admission:
    """The part of a client by which an owner lets others in, and sends them away; others get `NotPermitted`."""

    name: str
    _commands: HubConnection

    def invite(
        self, role: str, *, name: str = "", expires: float | None = 86_400.0, values: bool = False
    ) -> Invitation:
        """Let somebody come in by a key of their own. Only an owner may.

        Args:
            role: the most that its bearer may be: ``owner``, ``editor``, ``asker`` or ``viewer``.
            name: what its bearer is called, whatever it says itself; "" for a name that is made up.
            expires: for how many seconds it holds, by the hub's clock; None until it is revoked.
            values: whether a viewer or an asker may look at values, too: at all that can be reached from a variable.

        Returns:
            The invitation, whose `connect_string` is to be given to whom it is for.

        Raises:
            NotPermitted: this client is no owner.
            RequestError: there is no such role, nobody can be called so, or it cannot be kept.

        Example:
            >>> invitation = kernel.invite("viewer", name="ann", expires=2 * 3600)
            >>> [each.name for each in kernel.invitations() if each.id == invitation.id]
            ['ann']
            >>> kernel.revoke(invitation.id)
        """
        return self._read_invitation(self._commands.call(commands.INVITE, role, name, expires, values))

    def invitations(self) -> list[Invitation]:
        """List who was invited. Only an owner may.

        Returns:
            The invitations that hold, and those that have ended lately, without their secrets.

        Example:
            >>> invitation = kernel.invite("editor", name="bob")
            >>> [each.role for each in kernel.invitations() if each.name == "bob" and each.revoked is None]
            ['editor']
            >>> kernel.revoke(invitation.id)
        """
        return [self._read_invitation(each) for each in self._commands.call(commands.INVITATIONS)]

    def _read_invitation(self, told: dict[str, Any]) -> Invitation:
        from rpyc_kernel.client.invitation import read_invitation  # few clients are owners who invite

        return read_invitation(told, self.name)

    def revoke(self, invitation: str) -> None:
        """Let an invitation hold no longer, and end what was connected with it, at once. Only an owner may.

        Args:
            invitation: its id.

        Raises:
            RequestError: there is none of this id, or its end cannot be kept.

        Example:
            >>> invitation = kernel.invite("viewer")
            >>> kernel.revoke(invitation.id)
            >>> [each.revoked is None for each in kernel.invitations() if each.id == invitation.id]
            [False]
        """
        self._commands.call(commands.REVOKE, invitation)

    def kick(self, session: str) -> None:
        """End the connections of a session. Only an owner may.

        Its client can come back after ten seconds, or at once as another session; to keep it out, `revoke` its
        invitation, whose id such sessions begin with.

        Args:
            session: its id.

        Raises:
            RequestError: nobody is connected as this session, or it is this client's own.

        Example:
            >>> guest = rpyc_kernel.connect("demo", name="guest")
            >>> kernel.kick(guest.session)
            >>> guest.wait_until_closed(30)
            True
            >>> guest.close()
        """
        self._commands.call(commands.KICK, session)

    def listen(self, listen: str = LOCAL, *, tls: bool = False, insecure: bool = False) -> dict[str, Any]:
        """Have the kernel listen on one more port, from now on and with every hub to come. Only an owner may.

        What others than its machine can reach speaks TLS. Where it listens in this way already, nothing changes.

        Args:
            listen: ``host`` or ``host:port``.
            tls: speak TLS also where only its own machine can reach the port.
            insecure: speak none, though others can read and change on the way what is said.

        Returns:
            What it is now: ``host``, ``port``, ``security`` (``tls``, ``plain``, ``insecure``), and with TLS the
            ``fingerprint`` of the certificate.

        Raises:
            NotPermitted: this client is no owner.
            NotAvailable: there is no certificate, and what makes one is not installed for the hub.
            RequestError: it cannot listen there.

        Example:
            >>> there = kernel.listen("127.0.0.1", tls=True)
            >>> there["security"], len(there["fingerprint"])
            ('tls', 64)
            >>> there in kernel.status()["listening"]
            True
        """
        host, port = parse_listen(listen)
        if tls and insecure:
            raise RequestError("what is insecure has no TLS; leave one of them out")
        security = Security.TLS if tls else Security.INSECURE if insecure else Security.PLAIN
        return self._commands.call(commands.LISTEN, host, port, security)

    def certify(self, invitation: str) -> dict[str, str]:
        """Make a certificate for the bearer of an invitation, who can then come in with stock RPyC. Only an owner may.

        Args:
            invitation: its id.

        Returns:
            ``certificate``, its ``private_key``, and ``server_certificate``, by which the bearer knows the kernel; all
            of them PEM.

        Raises:
            NotPermitted: this client is no owner.
            NotAvailable: what makes certificates is not installed for the hub.
            RequestError: there is no such invitation, or only certificates of somebody else hold.

        Example:
            >>> invitation = kernel.invite("editor", name="ann")
            >>> sorted(kernel.certify(invitation.id))
            ['certificate', 'private_key', 'server_certificate']
            >>> kernel.revoke(invitation.id)
        """
        return self._commands.call(commands.CERTIFY, invitation)
