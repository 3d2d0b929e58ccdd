"""Broken promises of the full screen in a browser."""

from tests.mutants import Mutant

_WEB = "end_to_end/test_web.py::"
_GUARD = (f"{_WEB}test_nobody_gets_in_without_the_token",)
_FILE = "faces/screen/web.py"

MUTANTS = (
    Mutant(
        promise="who has no token and no cookie gets no page",
        file=_FILE,
        before='if not _is_same(request.cookies.get(self._cookie_name, ""), self._cookie):',
        after="if False:",
        tests=_GUARD,
    ),
    Mutant(
        promise="a wrong token gets nobody in",
        file=_FILE,
        before='if request.path == "/" and _is_same(request.query.get("token", ""), self._token):',
        after='if request.path == "/" and "token" in request.query:',
        tests=_GUARD,
    ),
    Mutant(
        promise="a foreign name that leads to this machine gets nothing",
        file=_FILE,
        before='if request.headers.getall("Host", []) != [f"{HOST}:{self.port}"]:',
        after="if False:",
        tests=_GUARD,
    ),
    Mutant(
        promise="another page in the same browser opens no socket",
        file=_FILE,
        before='if request.path == "/ws" and request.headers.getall("Origin", []) != [self.public_url]:',
        after="if False:",
        tests=_GUARD,
    ),
    Mutant(
        promise="a request without an origin opens no socket",
        file=_FILE,
        before='request.headers.getall("Origin", []) != [self.public_url]:',
        after='request.headers.getall("Origin", []) not in ([], [self.public_url]):',
        tests=_GUARD,
    ),
    Mutant(
        promise="scripts of a page cannot read the cookie",
        file=_FILE,
        before="httponly=True",
        after="httponly=False",
        tests=_GUARD,
    ),
    Mutant(
        promise="the cookie goes with no request that another page makes",
        file=_FILE,
        before='samesite="Strict"',
        after='samesite="Lax"',
        tests=_GUARD,
    ),
    Mutant(
        promise="the cookie does not tell the token",
        file=_FILE,
        before="        self._cookie = secrets.token_urlsafe(32)",
        after="        self._cookie = self._token",
        tests=_GUARD,
    ),
    Mutant(
        promise="the token does not stay in the address",
        file=_FILE,
        before='headers={"Location": "/", **self._headers}',
        after='headers={"Location": self.address, **self._headers}',
        tests=_GUARD,
    ),
    Mutant(
        promise="a hang-up ends the programs of all pages",
        file=_FILE,
        before="_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)",
        after="_ENDING = (signal.SIGINT, signal.SIGTERM)",
        tests=(f"{_WEB}test_a_signal_ends_all_pages_and_their_programs_and_frees_the_port",),
    ),
    Mutant(
        promise="a server under nohup outlives its terminal",
        file=_FILE,
        before="if signal.getsignal(number) is not signal.SIG_IGN:",
        after="if True:",
        tests=(f"{_WEB}test_a_server_may_outlive_its_terminal_and_no_program_outlives_a_server_that_is_killed",),
    ),
    Mutant(
        promise="the program of a page ends when nobody serves the page any more",
        file="faces/screen/page.py",
        before="if not self.exit_event.is_set():",
        after="if False:",
        tests=(f"{_WEB}test_a_server_may_outlive_its_terminal_and_no_program_outlives_a_server_that_is_killed",),
    ),
    Mutant(
        promise="pages that look on can run nothing",
        file="cli/web.py",
        before='[f"--role={self.wanted_role}"] if self.wanted_role',
        after="[] if self.wanted_role",
        tests=(f"{_WEB}test_pages_that_look_on_can_run_nothing_and_say_so",),
    ),
    Mutant(
        promise="a page of a kernel that has ended says so",
        file="cli/screen.py",
        before="end_page(str(error), has_begun=False)",
        after="pass",
        tests=(f"{_WEB}test_a_page_of_a_kernel_that_ends_says_so_and_so_does_the_next_one",),
    ),
)
