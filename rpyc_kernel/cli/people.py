"""Commands about people: invite, sessions, revoke, kick."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import difflib
import sys
import time
from pathlib import Path

from plumbum import cli

from rpyc_kernel.cli.application import DEFAULT_NAME, OK, Command, JsonCommand, UsageError
from rpyc_kernel.cli.times import format_in_utc, read_term
from rpyc_kernel.client.invitation import Invitation, choose_listening, require_one_host
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import ROLES, Role
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.summaries import summarise_sessions
from rpyc_kernel.frozen import fields_of
from rpyc_kernel.settings import parse_listen
from rpyc_kernel.system.addresses import is_loopback
from rpyc_kernel.system.private_files import write_private


class Invite(JsonCommand):
    """Let somebody into a kernel that listens with TLS: prints one line to give to them, which is their key.

    They give it in place of a kernel's name, best to 'rpyc-kernel console -', which reads it from standard input. Who
    has this line can do what the role allows; so send it by a way that nobody else can read.

    Examples:
        rpyc-kernel invite demo --role viewer --name ann --expires 2h
        rpyc-kernel invite demo --role editor --certificate for-ann      # and files for RPyC's own ssl_connect
        rpyc-kernel invite demo --role editor --expires never --listen 0.0.0.0 --host gpu.example.org
    """

    role = cli.SwitchAttr(
        "--role",
        cli.Set(*ROLES),
        mandatory=True,
        help="viewer sees, asker hands in code that waits for approval, editor runs code, owner may do all",
    )
    expires = cli.SwitchAttr(
        "--expires", str, default="1d", help="for how long: 90s, 1h30m, 7d, 2w or never", argname="TIME"
    )
    name = cli.SwitchAttr("--name", str, default="", help="what they are called in the kernel")
    shows_values = cli.Flag("--values", help="a viewer or an asker may look at values of variables, too")
    listen = cli.SwitchAttr(
        "--listen", str, default="", help="first have it listen there with TLS, for good", argname="HOST[:PORT]"
    )
    host = cli.SwitchAttr("--host", str, default="", help="by what name or address they reach this machine")
    certificate = cli.SwitchAttr(
        "--certificate", str, default="", help="write there what clients with RPyC alone need", argname="FOLDER"
    )

    def main(self, name: str = DEFAULT_NAME) -> int:
        expires = read_term(self.expires)
        folder = _make_folder(self.certificate) if self.certificate else None
        with self.connect(name, joins=False) as kernel:
            if kernel.role == Role.OWNER:  # whom else the kernel refuses, with the reason
                self._see_to_a_way_in(kernel)  # first, so that nobody is invited who cannot come
            given = kernel.invite(str(self.role), name=self.name, expires=expires, values=bool(self.shows_values))
            if folder is not None:
                _write_certificate(kernel, given.id, folder)
        text = given.connect_string(self.host)
        told = {**_describe(given), "connect_string": text}
        self.write_answer(told, [text])
        if sys.stdout.isatty() and not self.as_json:
            print(f"it lets in whoever pastes it at 'rpyc-kernel console -', {_term_of(given)}", file=sys.stderr)
        return OK

    def _see_to_a_way_in(self, kernel: KernelClient) -> None:
        """Have the kernel listen where others can come to, or see that it does."""
        if self.listen:
            self._require_a_host(parse_listen(self.listen)[0], kernel.name)
            kernel.listen(self.listen, tls=True)
        place = choose_listening(tuple(kernel.status()["listening"]), kernel.name, self.host)
        if not self.host and is_loopback(str(place["host"])):
            raise UsageError(
                f"kernel {kernel.name!r} listens on {place['host']} alone, where nobody comes to from elsewhere; add "
                "--listen HOST, or say by --host where a tunnel begins"
            )

    def _require_a_host(self, listened: str, kernel: str) -> None:
        """See that others can come to where it is to listen, before it does."""
        require_one_host(listened, kernel, self.host)
        if not self.host and is_loopback(listened):
            raise UsageError(
                f"nobody comes to {listened} from elsewhere; say with --host NAME by which name or address others "
                "reach it, such as where a tunnel begins"
            )


def _make_folder(path: str) -> Path:
    folder = Path(path).expanduser()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"--certificate {path}: there is something in it; name a folder that is new or empty")
    except OSError as error:
        raise UsageError(f"--certificate {path}: {error.strerror or error}") from None
    return folder


def _write_certificate(kernel: KernelClient, invitation: str, folder: Path) -> None:
    """Write the three files, or take the invitation back."""
    try:
        for name, pem in kernel.certify(invitation).items():
            write_private(folder / f"{name}.pem", pem.encode())
    except BaseException as error:
        kernel.revoke(invitation)
        if isinstance(error, OSError):
            raise UsageError(f"nobody was invited, as nothing can be written to {folder}: {error}") from None
        raise


class Sessions(JsonCommand):
    """List who takes part in a kernel, and to an owner who is invited: what 'kick' and 'revoke' are given."""

    def main(self, name: str = DEFAULT_NAME) -> int:
        with self.connect(name, joins=False) as kernel:
            present = [each for each in kernel.sessions() if each["connections"]]
            is_owner = kernel.role == Role.OWNER
            invited = kernel.invitations() if is_owner else []
        now = time.time()
        rows = [(each.id, f"{sanitize_line(each.name)}  {each.role}  {_state_of(each, now)}") for each in invited]
        rows = [*zip((each["id"] for each in present), summarise_sessions(present), strict=True), *rows]
        width = max((len(shown) for shown, _ in rows), default=0)
        lines = [f"{shown:<{width}}  {told}" for shown, told in rows]
        answer = {"sessions": present, "invitations": [_describe(each) for each in invited]}
        self.write_answer(answer, lines or [f"nobody is here{', and nobody is invited' if is_owner else ''}"])
        return OK


class Revoke(Command):
    """End an invitation, by its id or name, and what was connected with it, at once.

    Example:
        rpyc-kernel revoke demo ann
    """

    USAGE = "    {progname} NAME INVITATION\n"

    def main(self, name: str, invitation: str) -> int:
        with self.connect(name, joins=False) as kernel:
            holding = {each.id: each.name for each in kernel.invitations() if each.revoked is None}
            key = find("invitation", invitation, holding)
            kernel.revoke(key)
        print(f"the invitation {key} of {sanitize_line(holding[key])} holds no longer")
        return OK


class Kick(Command):
    """End the connections of a session, by its id or name. It can come back in ten seconds, unless 'revoke' forbids it.

    Example:
        rpyc-kernel kick demo ann
    """

    USAGE = "    {progname} NAME SESSION\n"

    def main(self, name: str, session: str) -> int:
        with self.connect(name, joins=False) as kernel:
            present = {each["id"]: each["name"] for each in kernel.sessions() if each["connections"]}
            key = find("session", session, present)
            kernel.kick(key)
        print(f"session {key} of {sanitize_line(present[key])} has ended")
        return OK


def find(what: str, wanted: str, known: dict[str, str]) -> str:
    """The id of what is wanted, by id or name, of some with their names; UsageError where it is none, or several."""
    if wanted in known:
        return wanted
    named = [each for each, name in known.items() if name == wanted]
    if len(named) == 1:
        return named[0]
    near = named or [
        each
        for word in difflib.get_close_matches(wanted, {*known, *known.values()}, 3)
        for each, name in known.items()
        if word in (each, name)
    ]
    shown = ", ".join(f"{each} ({sanitize_line(known[each])})" for each in dict.fromkeys(near or known))
    several = f"there are several of the name {wanted!r}; choose one by its id: {shown}"
    none = f"there is no {what} {wanted[:100]!r}; " + (
        f"did you mean {shown}?" if near else f"there are {shown}" if shown else "there is none at all"
    )
    raise UsageError(several if named else none)


def _describe(invitation: Invitation) -> dict[str, object]:
    """What a program is told; the secret stands in the connect string alone."""
    return {name: value for name, value in fields_of(invitation).items() if name not in ("secret", "listening")}


def _state_of(invitation: Invitation, now: float) -> str:
    if invitation.revoked is not None:
        return f"revoked {format_in_utc(invitation.revoked)}"
    if invitation.expires is None:
        return "invited until revoked"
    return f"{'invited until' if invitation.expires > now else 'expired'} {format_in_utc(invitation.expires)}"


def _term_of(invitation: Invitation) -> str:
    return "until it is revoked" if invitation.expires is None else f"until {format_in_utc(invitation.expires)}"
