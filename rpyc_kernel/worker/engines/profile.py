"""What the user has set up for IPython: configuration, extensions and startup files of the default profile.

It is read as `ipython` and ipykernel read it, by IPython's own application, of which nothing else is wanted. That takes
some time of a start, so it is made only where there is something to read.
"""

from __future__ import annotations

import glob
import logging
import os
import sys
from typing import Any

from IPython.paths import get_ipython_dir

_SHARED = ("/etc/ipython", "/usr/local/etc/ipython", os.path.join(sys.prefix, "etc", "ipython"))
_PATTERNS = ("ipython*_config.py", "ipython*_config.json", "startup/*.py", "startup/*.ipy")
_NAMES = {True: "ipython-kernel", False: "ipython"}


def read(*, is_notebook: bool) -> Any:
    """Read the configuration; returns the application that holds it, or None where the user has set up nothing.

    Where it ``is_notebook``, what is meant for notebooks alone counts too, ``ipython_kernel_config.py``.
    """
    folders = (get_ipython_dir(), os.path.join(get_ipython_dir(), "profile_default"), *_SHARED)
    if not any(glob.glob(os.path.join(glob.escape(folder), pattern)) for folder in folders for pattern in _PATTERNS):
        return None
    from IPython.core.application import BaseIPythonApplication
    from IPython.core.shellapp import InteractiveShellApp

    class Application(BaseIPythonApplication, InteractiveShellApp):
        """Reads configuration; what it has to say goes the way of the user's own warnings."""

        name = _NAMES[is_notebook]

        def _configure_logging(self) -> None:
            """Leave the user's loggers alone."""

    application = Application(log=logging.getLogger("IPython.profile"))
    application.init_profile_dir()
    application.init_config_files()
    application.load_config_file()
    return application


def start_up(application: Any, shell: Any) -> None:
    """Load the extensions and run the startup files, ``PYTHONSTARTUP`` among them."""
    application.shell = shell
    application.init_gui_pylab()
    application.init_extensions()
    application.init_code()
