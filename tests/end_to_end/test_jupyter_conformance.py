"""The messaging protocol as Jupyter's own suite tests it, with nothing skipped."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import jupyter_kernel_test
import pytest

from tests.end_to_end.notebooks import (
    PATIENCE_S,
    SPEC,
    Message,
    Notebook,
    environment,
    prepare,
    take_reply,
    take_until,
)
from tests.support.folders import temporary_folders
from tests.support.leaks import leaving_nothing


@pytest.fixture(autouse=True)
def nothing_left_behind() -> None:
    """One kernel serves all tests, and its manager's and client's sockets connect when they like: see `spec`."""


@pytest.fixture(scope="module", autouse=True)
def spec() -> Iterator[None]:
    """Jupyter finds our kernelspec, in folders of this module's own, and nothing is left behind in the end."""
    with (
        leaving_nothing(),
        temporary_folders() as folders,
        tempfile.TemporaryDirectory() as place,
        environment() as set_variable,
    ):
        for name, value in folders.environment.items():
            set_variable(name, value)
        prepare(Path(place), set_variable)
        yield


class TestConformance(jupyter_kernel_test.KernelTests):
    """All of jupyter_kernel_test."""

    kernel_name = SPEC
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('oops', file=sys.stderr)"
    completion_samples = (  # type: ignore[assignment]
        {"text": "zi", "matches": {"zip"}},
        {"text": "isinst", "matches": {"isinstance"}},
        {"text": "sum", "matches": {"sum"}},
    )
    complete_code_samples = ("1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n")  # type: ignore[assignment]
    incomplete_code_samples = ("print('''hello", "def f(x):\n  x*2", "for i in range(3):")  # type: ignore[assignment]
    invalid_code_samples = ("import = 7q", "1 1")  # type: ignore[assignment]
    code_page_something = "zip?"
    code_generate_error = "raise ValueError('no')"
    code_execute_result = (  # type: ignore[assignment]
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
    )
    code_display_data = (  # type: ignore[assignment]
        {"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))", "mime": "text/html"},
        {"code": "from IPython.display import Math, display; display(Math('\\\\frac{1}{2}'))", "mime": "text/latex"},
    )
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    support_iopub_welcome = True
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"

    @classmethod
    def setUpClass(cls) -> None:
        """Start the kernel, and wait for nothing but answers; the suite's own client asks again each second."""
        cls.notebook = Notebook()
        cls.km, cls.kc = cls.notebook.manager, cls.notebook.client
        for channel in (cls.kc.shell_channel, cls.kc.iopub_channel):
            channel.get_msg = _patient(channel.get_msg)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.notebook.close()

    def flush_channels(self) -> None:
        """Read up to the end of a request behind all others; the suite reads until nothing comes for 0.1 s."""
        request = self.kc.kernel_info()
        jupyter_kernel_test.validate_message(take_reply(self.kc, request), "kernel_info_reply", request)
        for message in take_until(self.kc, "status", request, execution_state="idle"):
            jupyter_kernel_test.validate_message(message)


def _patient(get: Callable[..., Message]) -> Callable[..., Message]:
    """Wait longer than the suite does, 0.1 s for some messages: how long they take says more of the machine."""

    def get_patiently(timeout: float | None = None) -> Message:
        return get(timeout=max(timeout or 0, PATIENCE_S))

    return get_patiently
