"""What end-to-end tests get on request: kernels, that is real processes in folders of their own, and their clients."""

from tests.end_to_end.clients import connect, start_client  # noqa: F401 - fixtures
from tests.end_to_end.clusters import open_cluster  # noqa: F401 - a fixture
from tests.end_to_end.commands import run_here, start_command  # noqa: F401 - fixtures
from tests.end_to_end.consoles import alice, bob, gated  # noqa: F401 - fixtures
from tests.end_to_end.groups import crew, crew_kernels  # noqa: F401 - fixtures
from tests.end_to_end.kernels import demo, engine, folders, kernel, shared_kernel, shared_kernels  # noqa: F401 - fixtures
from tests.end_to_end.notebooks import open_notebook, provisioner  # noqa: F401 - fixtures
from tests.end_to_end.pages import open_page  # noqa: F401 - a fixture
from tests.end_to_end.rpc import serve  # noqa: F401 - a fixture
from tests.end_to_end.terminals import open_terminal  # noqa: F401 - a fixture
from tests.faces.qt.widgets import application, show  # noqa: F401 - fixtures
from tests.support.display import display, toolkit  # noqa: F401 - fixtures
