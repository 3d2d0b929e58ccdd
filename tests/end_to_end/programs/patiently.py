"""patiently.py ARGUMENTS...: ``rpyc-kernel ARGUMENTS...`` on a machine that may be slow, or busy with something else.

What the program gives up on after some seconds, for a person's sake, it waits for here: so a test sees what comes,
however late. Tests of the giving up run the program itself, or say in the environment after how many seconds.
"""

import os
import sys
from importlib import import_module
from inspect import unwrap

PATIENCE_S = float(os.environ.get("TESTS_PATIENCE_S", "60"))
STACK_S = 30.0  # the most that a hub waits for a stack
LIMITS = {"rpyc_kernel.system.hub_start": "_START_TIMEOUT_S", "rpyc_kernel.client.archive": "_PATIENCE_S"}
CONSOLES_LIMITS = {
    "rpyc_kernel.cli.joining": "_START_TIMEOUT_S",
    "rpyc_kernel.faces.frontend.completing": "_TIMEOUT_S",
    "rpyc_kernel.faces.frontend.conversation": "_COMPLETENESS_TIMEOUT_S",
    "rpyc_kernel.faces.frontend.hints": "_TIMEOUT_S",
    "rpyc_kernel.faces.frontend.recalled_history": "_TIMEOUT_S",
}
"""Apart, because their modules take a while to load."""


def be_patient(*, as_console: bool) -> None:
    """Raise what the program leaves at its default."""
    from rpyc_kernel.client import launch
    from rpyc_kernel.client.introspection import Introspection
    from rpyc_kernel.client.kernel import KernelClient

    for function in (launch.start, launch.connect, *vars(KernelClient).values(), *vars(Introspection).values()):
        defaults = getattr(unwrap(function), "__kwdefaults__", None) or {}
        defaults.update({name: PATIENCE_S for name in ("timeout", "wait") if isinstance(defaults.get(name), float)})
    unwrap(KernelClient.stack).__kwdefaults__["timeout"] = STACK_S
    for module, name in {**LIMITS, **(CONSOLES_LIMITS if as_console else {})}.items():
        found = import_module(module)
        assert isinstance(getattr(found, name), float)
        setattr(found, name, PATIENCE_S)


if __name__ == "__main__":
    try:
        from rpyc_kernel.cli.program import run

        be_patient(as_console=sys.argv[1:2] == ["console"])
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run(sys.argv))
