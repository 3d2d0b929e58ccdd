"""The full screen on a real kernel, by the keys that a user presses and what is to be seen then."""

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient, KernelError
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import Folders

if importlib.util.find_spec("textual") is None:
    pytest.skip("Textual is not installed", allow_module_level=True)

from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static, TabbedContent

from rpyc_kernel.faces.frontend.conversation import LEFT, LOST, Conversation
from rpyc_kernel.faces.frontend.session_slot import take_session_slot
from rpyc_kernel.faces.screen.app import KernelApp
from rpyc_kernel.faces.screen.code_area import CodeArea
from rpyc_kernel.faces.screen.queue_pane import QueuePane
from rpyc_kernel.faces.screen.side import SidePanes
from rpyc_kernel.faces.screen.table_screen import TableScreen
from rpyc_kernel.faces.screen.transcript_pane import TranscriptPane
from rpyc_kernel.faces.screen.variables_pane import VariablesPane

_NAMED = {" ": "space", "\n": "enter"}
_POLL_S = 0.01


class User:
    """Somebody at a full screen.

    Attributes:
        app: what is seen.
        pilot: presses keys.
    """

    def __init__(self, app: KernelApp, pilot: Pilot[str]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def text(self) -> str:
        return self.app.query_one(TranscriptPane).text

    async def type(self, text: str) -> None:
        await self.pilot.press(*(_NAMED.get(letter, letter) for letter in text))

    async def run(self, code: str) -> None:
        """Type code at the prompt, when it is there."""
        await self.until(lambda: self.prompt == "code", "the prompt")
        await self.type(code + "\n")

    async def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while not condition():
            assert asyncio.get_running_loop().time() < deadline, f"waited in vain for {what}; there is:\n{self.text}"
            await self.pilot.pause(_POLL_S)

    async def until_seen(self, text: str) -> None:
        await self.until(lambda: text in self.text, repr(text))

    @property
    def prompt(self) -> str:
        prompt = self.app._prompt
        return "" if prompt is None else "code" if prompt.question is None else prompt.question


Act = Callable[[User], Awaitable[None]]


@pytest.fixture
def kernel(folders: Folders) -> Iterator[KernelClient]:
    """Somebody else in the kernel."""
    rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S).close()
    with rpyc_kernel.connect("demo", name="alice", timeout=PATIENCE_S) as client:
        yield client
        with suppress(KernelError):
            client.shutdown(timeout=PATIENCE_S)


def work(act: Act, *, size: tuple[int, int] = (110, 32), early: str = "") -> str | None:
    """Have a user work in a full screen of this size, who types early; returns how the conversation ended."""

    async def run() -> str | None:
        app = KernelApp(Conversation(take_session_slot("demo", name="me"), "welcome"))
        for letter in early:
            app.post_message(Key(_NAMED.get(letter, letter), letter))
        async with app.run_test(size=size) as pilot:
            user = User(app, pilot)
            await user.until(lambda: user.prompt == "code", "the prompt")
            await act(user)
            if app.is_running and app.return_value is None:
                app._conversation.end()
                await user.until(lambda: app.return_value is not None, "the end")
        return app.return_value

    return asyncio.run(run())


def test_code_is_typed_even_before_there_is_a_place_for_it_and_its_value_output_and_error_are_seen(
    kernel: KernelClient,
):
    async def act(user: User) -> None:
        await user.until_seen(">>> 6 * 7\n42")
        await user.run("for i in 'ab': print(i)\n")
        await user.until_seen("\na\nb")
        await user.run("1 / 0")
        await user.until_seen("ZeroDivisionError: division by zero")

    work(act, early="6 * 7\n")


def test_what_others_do_is_marked_and_no_markup_of_theirs_is_obeyed(kernel: KernelClient):
    async def act(user: User) -> None:
        code = "print('[bold red]hi[/] [@click=app.bell]x[/] \\x1b[2J\\x1b]0;t\\x07there')"
        await asyncio.to_thread(kernel.execute, code)
        await user.until_seen("[alice] [bold red]hi[/] [@click=app.bell]x[/] there")

    work(act)


def test_code_asks_and_gets_its_answer(kernel: KernelClient):
    async def act(user: User) -> None:
        await user.run("name = input('who? ')")
        await user.until(lambda: user.prompt == "who? ", "the question")
        await user.type("me\n")
        await user.run("name * 2")
        await user.until_seen("'meme'")

    work(act)


def test_help_is_there_also_while_code_asks_and_tells_the_keys_of_this_screen(kernel: KernelClient):
    async def act(user: User) -> None:
        await user.run("input('who? ')")
        await user.until(lambda: user.prompt == "who? ", "the question")
        await user.pilot.press("f1")
        await user.until_seen("F2 shows or hides what stands beside")
        await user.until_seen("%restart")
        assert "Ctrl-Z" not in user.text
        pane = user.app.query_one(TranscriptPane)
        await user.until(lambda: pane.show_vertical_scrollbar, "more lines than there is room for")
        assert not pane.show_horizontal_scrollbar
        await user.type("me\n")
        await user.until_seen("'me'")

    work(act)


def test_what_is_hidden_is_not_seen(kernel: KernelClient):
    async def act(user: User) -> None:
        await user.run("import getpass; len(getpass.getpass())")
        await user.until(lambda: user.prompt == "Password: ", "the question")
        await user.type("secret\n")
        await user.until_seen("\n6")
        assert "secret" not in user.text

    work(act)


def test_ctrl_c_lets_go_and_then_offers_to_interrupt(kernel: KernelClient):
    async def act(user: User) -> None:
        await user.run("import time; print('begun'); time.sleep(600)")
        await user.until_seen("begun")
        await user.pilot.press("ctrl+c")
        await user.until_seen("goes on in the background")
        await user.until(lambda: user.prompt == "code", "the prompt")
        await user.pilot.press("ctrl+c")
        await user.until(lambda: "interrupt execution" in user.prompt, "the offer")
        await user.type("\n")
        await user.until_seen("KeyboardInterrupt")

    work(act)


def test_what_is_typed_ahead_is_not_lost(kernel: KernelClient):
    async def act(user: User) -> None:
        await user.type("one = 1\ntwo = 2\nif one:\nprint(one + two)\n\n")
        await user.until_seen("\n3")
        assert ">>> one = 1\n>>> two = 2\n>>> if one:\n...     print(one + two)\n" in user.text

    work(act)


def test_code_entered_while_other_code_runs_waits_for_its_prompt(kernel: KernelClient):
    kernel.execute("import threading; gate = threading.Event()", timeout=PATIENCE_S)

    async def act(user: User) -> None:
        code = user.app.query_one(CodeArea)
        await user.run("gate.wait(); print('first')")
        await user.until(lambda: user.prompt == "", "the beginning")
        await user.type("print('second')\n")
        await user.until(lambda: "1 typed ahead" in (code.border_title or ""), "the word that it waits")
        await asyncio.to_thread(kernel.eval, "gate.set()")
        await user.until_seen("\nsecond")
        assert user.text.index("\nfirst") < user.text.index(">>> print('second')")
        assert not code.border_title

    work(act)


def test_ctrl_c_takes_back_what_was_typed_ahead(kernel: KernelClient):
    async def act(user: User) -> None:
        code = user.app.query_one(CodeArea)
        await user.run("import threading; threading.Event().wait()")
        await user.until(lambda: user.prompt == "", "the beginning")
        await user.type("one = 1\ntwo = 2\n")
        await user.until(lambda: "2 typed ahead" in (code.border_title or ""), "the word that they wait")
        await user.type("three")
        await user.pilot.press("ctrl+c")
        await user.until_seen("goes on in the background")
        assert code.text == "one = 1\ntwo = 2\nthree"
        assert not code.border_title

    work(act)


def test_tab_completes_and_up_calls_back(kernel: KernelClient):
    async def act(user: User) -> None:
        code = user.app.query_one(CodeArea)
        await user.run("number = 41")
        await user.until(lambda: user.prompt == "code", "the prompt")
        await user.type("numb")
        await user.pilot.press("tab")
        await user.until(lambda: code.text == "number", "the completion")
        await user.type(" + 1\n")
        await user.until_seen("\n42")
        await user.pilot.press("up")
        assert code.text == "number + 1"

    work(act)


def test_the_queue_the_people_and_the_variables_are_told(kernel: KernelClient):
    async def act(user: User) -> None:
        await user.run("table = [[1, 2], [3, 4]]")
        variables = user.app.query_one("#variables", DataTable)
        await user.until(lambda: variables.row_count == 1, "the variable")
        running = await asyncio.to_thread(kernel.submit, "input('?')")
        queue, people = user.app.query_one(QueuePane), user.app.query_one("#people", Static)
        await user.until(lambda: "alice: input('?'), asks" in queue.text, "the execution")
        assert "me (you)" in str(people.content)
        await asyncio.to_thread(kernel.interrupt, running.id)

    work(act)


def test_own_code_is_stopped_by_a_key_and_that_of_others_by_two(kernel: KernelClient):
    async def act(user: User) -> None:
        queue = user.app.query_one(QueuePane)
        running = await asyncio.to_thread(kernel.submit, "import threading; threading.Event().wait()")
        await user.run("print('never');")
        await user.until(lambda: "me: print('never')" in queue.text, "the queue")
        await user.pilot.press("f4", "down", "x")
        await user.until(lambda: "never" not in queue.text, "the cancellation")
        await user.pilot.press("up", "x")
        await user.until_seen(f"[{running.id}] is of alice; x once more stops it all the same")
        assert "▶" in queue.text
        await user.pilot.press("x")
        await user.until_seen("KeyboardInterrupt")

    work(act)
    assert "never" not in [event.text for event in kernel.events(follow=False) if event.kind == "stream"]


def test_what_somebody_asks_to_run_is_read_before_a_key_lets_it_go(kernel: KernelClient):
    with rpyc_kernel.connect("demo", role="asker", name="agent", timeout=PATIENCE_S) as agent:

        async def act(user: User) -> None:
            queue = user.app.query_one(QueuePane)
            asked = await asyncio.to_thread(agent.submit, "x = 6\nx * 7")
            await user.until_seen(f"agent asks to run [{asked.id}] x = 6 and 1 more line")
            await user.until(lambda: f"? [{asked.id}] agent: x = 6" in queue.text, "the queue")
            await user.pilot.press("f4", "a")
            await user.until_seen(f"[{asked.id}] asks to run this; a once more lets it go\nx = 6\nx * 7")
            assert asked.status == "held"
            await user.pilot.press("a")
            await user.until_seen("Out [1]: 42")

        work(act)


def test_containers_open_in_place_and_page_by_page(kernel: KernelClient):
    kernel.execute("server = {'port': 80, 'names': list(range(250))}", timeout=PATIENCE_S)

    async def act(user: User) -> None:
        await user.run("1")
        pane = user.app.query_one(VariablesPane)
        await user.pilot.press("f4", "f4", "f4")
        assert user.app.focused is pane

        def names() -> list[str]:
            return [str(pane.get_row_at(row)[0]) for row in range(pane.row_count)]

        await user.until(lambda: names() == ["▸ server"], "the variable")
        await user.pilot.press("right")
        await user.until(lambda: names() == ["▾ server", "    'port'", "  ▸ 'names'"], "what is in it")
        await user.pilot.press("down", "down", "right")
        await user.until(lambda: names()[-1] == "      … 150 more", "a page of what is in that")
        pane.move_cursor(row=pane.row_count - 1)
        await user.pilot.press("right")
        await user.until(lambda: names()[-1] == "      … 50 more", "another page")
        await asyncio.to_thread(kernel.execute, "server['names'] = [7]")
        await user.until(lambda: names()[2:] == ["  ▾ 'names'", "      [0]"], "what is in it by now")
        pane.move_cursor(row=0)
        await user.pilot.press("left")
        await user.until(lambda: names() == ["▸ server"], "the variable alone")

    work(act)


def test_a_table_of_ten_million_rows_is_paged(kernel: KernelClient):
    kernel.execute("table = range(10_000_000); table = list(table)", timeout=PATIENCE_S)

    async def act(user: User) -> None:
        user.app.query_one(TabbedContent).active = "variables-pane"
        await user.run("1")
        variables = user.app.query_one("#variables", DataTable)
        await user.until(lambda: variables.row_count == 1, "the variable")
        variables.focus()
        await user.pilot.press("enter")
        await user.until(lambda: user.app.screen.query("TableScreen #table-title"), "the table")

        def title() -> str:
            return str(user.app.screen.query_one("#table-title", Static).content)

        await user.until(lambda: "rows 0 to 100 of 10,000,000" in title(), "the first page")
        await user.pilot.press("end")
        await user.until(lambda: "rows 9,999,900 to 10,000,000" in title(), "the last page")
        await user.pilot.press("escape")
        await user.until(lambda: not isinstance(user.app.screen, TableScreen), "the prompt")

    work(act)


def test_a_table_is_sorted_filtered_and_edited_in_the_kernel(kernel: KernelClient):
    kernel.execute("table = [30, 10, 20, 40]", timeout=PATIENCE_S)

    async def act(user: User) -> None:
        user.app.push_screen(TableScreen(kernel, "table"))
        await user.until(lambda: user.app.screen.query("TableScreen #table"), "the table")
        table = user.app.screen.query_one("#table", DataTable)

        def values() -> list[str]:
            return [str(table.get_row_at(row)[0]) for row in range(table.row_count)]

        await user.until(lambda: values() == ["30", "10", "20", "40"], "the rows")
        await user.type("s")
        await user.until(lambda: values() == ["10", "20", "30", "40"], "the rows in order")
        await user.pilot.press("slash")
        await user.type("value > 10\n")
        await user.until(lambda: values() == ["20", "30", "40"], "the rows that pass")
        await user.pilot.press("e")
        await user.pilot.press("backspace", "backspace")
        await user.type("99\n")
        await user.until(lambda: values() == ["30", "40", "99"], "the new value in its place")
        await user.pilot.press("slash")
        await user.type(" and nonsense\n")
        title = user.app.screen.query_one("#table-title", Static)
        await user.until(lambda: "nonsense" in str(title.content), "what is to be said of that")
        await user.pilot.press("escape")
        await user.until(lambda: not isinstance(user.app.screen, TableScreen), "the prompt")

    work(act)
    assert kernel.execute("table", timeout=PATIENCE_S).value == [30, 10, 99, 40]


def test_editing_a_cell_that_is_shown_in_part_writes_no_part_back(kernel: KernelClient):
    kernel.execute("table = ['x' * 1000, 'y']", timeout=PATIENCE_S)

    async def act(user: User) -> None:
        user.app.push_screen(TableScreen(kernel, "table"))
        await user.until(lambda: user.app.screen.query("TableScreen #table"), "the table")
        table = user.app.screen.query_one("#table", DataTable)
        asked = user.app.screen.query_one("#table-input", Input)
        await user.until(lambda: table.row_count == 2, "the rows")
        await user.pilot.press("e")
        await user.until(lambda: asked.display, "the place to type")
        assert asked.value == ""
        await user.pilot.press("enter")  # as it was
        await user.pilot.press("down", "e")
        await user.until(lambda: asked.display, "the place to type")
        assert asked.value == "y"
        await user.type("yes\n")  # in its place
        await user.until(lambda: str(table.get_row_at(1)[0]) == "yes", "the new value")

    work(act)
    assert kernel.execute("[len(each) for each in table]", timeout=PATIENCE_S).value == [1000, 3]


def test_a_flood_leaves_the_screen_alive_and_its_end_in_sight(kernel: KernelClient):
    async def act(user: User) -> None:
        await user.run("for i in range(30_000): print(i)\n")
        await user.until_seen("29999")
        await user.run("'still here'")
        await user.until_seen("'still here'")

    work(act)


def test_ctrl_d_leaves_and_the_kernel_goes_on(kernel: KernelClient):
    async def act(user: User) -> None:
        await user.pilot.press("ctrl+d")
        await user.until(lambda: user.app.return_value is not None, "the end")

    assert work(act) == LEFT
    assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42


def test_a_kernel_that_stops_ends_the_screen(kernel: KernelClient):
    async def act(user: User) -> None:
        await asyncio.to_thread(kernel.shutdown, timeout=PATIENCE_S)
        await user.until(lambda: user.app.return_value is not None, "the end")

    assert work(act) == LOST


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
def test_on_a_small_terminal_the_prompt_has_its_room(kernel: KernelClient, size: tuple[int, int]):
    async def act(user: User) -> None:
        await user.run("6 * 7")
        await user.until_seen("42")
        assert user.app.query_one(TranscriptPane).size.height > 4
        assert user.app.query_one(SidePanes).display == (size[0] > 70)

    work(act, size=size)
