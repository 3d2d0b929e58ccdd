"""Writes rpyc_kernel/aio/derived.py and connecting.py: the async client, derived from the client of threads.

Whatever of it waits for the hub is awaited, and so is what calls that, up to the public methods. What is told of them,
their arguments and their types stay.
"""

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from rpyc_kernel.client import admission, attaching, introspection, kernel, launch  # noqa: E402

ROOM = ROOT / "rpyc_kernel" / "aio"
_HEAD = '''\
"""{} `python scripts/aio_client.py` writes this file."""

from __future__ import annotations
'''
_IMPORTS = """
# ruff: noqa: E501 - texts of several lines are one here
from rpyc_kernel.aio.connection import LoopConnection
from rpyc_kernel.aio.event_stream import EventStream
from rpyc_kernel.aio.execution import Execution
from rpyc_kernel.aio.threaded import ThreadedBulk, ThreadedObjects
from rpyc_kernel.client.events import MARGIN_S, WAIT_S
from rpyc_kernel.client.introspection import Column, Filter, Sort
from rpyc_kernel.client.kernel import Past
"""
_IMPORTS_OF_OPENERS = """
from anyio import to_thread
from rpyc_kernel.aio.opening import Opening
from rpyc_kernel.client import attaching, launch
from rpyc_kernel.client.launch import KernelInfo
"""
_CLASSES = {
    "Introspection": (introspection, "The part of a client that looks into the worker; nothing is queued by it."),
    "Admission": (admission, "The part of a client by which an owner lets others in, and sends them away."),
    "KernelClient": (kernel, "The part of a client that runs code, and stops it, and tells what has happened."),
}
_NEW_NAMES = {"KernelClient": "Kernel", "HubConnection": "LoopConnection"}
_LEFT_OUT = {
    # What a loop has its own ways for, or what is about live objects, which wait by themselves.
    "__init__", "__enter__", "__exit__", "__repr__", "_enter", "_evaluator", "_notify", "_open_events", "_open_notices",
    "_give_up", "_read_execution", "_try", "begin", "call_beside", "close", "debugger", "events", "fileno", "hand_in",
    "lazy", "namespace", "objects", "open_debugger", "read_ready", "wait", "watch", "watch_expressions", "_watch",
}  # fmt: skip
_ATTRIBUTES = {
    "Kernel": """
name: str
_commands: LoopConnection
_identity: Identity
_known: int
_live: ThreadedObjects
_bulk: ThreadedBulk
_settings: ClientSettings
_submissions: str
_count: itertools.count[int]
_timeout_s: float

async def close(self) -> None:
    '''Leave.'''
    raise NotImplementedError

async def _open_stream(self, execution: int, since: int) -> EventStream:
    return EventStream(self._commands, since, execution=execution)
"""
}
_ASKS = {
    "execution._catch_up", "execution._raise_failure", "execution._wait", "self._bulk.pull", "self._bulk.push",
    "self._commands.call", "self._commands.hello", "self._commands.wait_until_closed", "self._live.ask", "self.close",
    "stream.read",
}  # fmt: skip
"""What waits, as it is called in there."""
_DROPPED = "self._readers.clear()"
"""What sees to connections of streams, which here have none of their own."""
_OPENERS = {"start": launch, "connect": launch, "attach": attaching, "kernels": launch}
_ON_THREADS = {"on another thread": "in the loop", "in a ``with`` statement": "in an ``async with`` statement"}


def write_files() -> dict[Path, str]:
    """The files, each with its text."""
    modules = [module for module, _ in _CLASSES.values()]
    classes = [_derive_class(name, module, doc) for name, (module, doc) in _CLASSES.items()]
    constants = dict.fromkeys(ast.unparse(node) for module in modules for node in _constants_of(module))
    openers = [_derive_opener(name, module) for name, module in _OPENERS.items()]
    return {
        ROOM / "derived.py": _write_file(
            "What clients of threads do, for event loops.", modules, _IMPORTS, [*constants, *classes]
        ),
        ROOM / "connecting.py": _write_file(
            "Starts kernels and connects to them, for event loops.",
            [launch, attaching],
            _IMPORTS_OF_OPENERS,
            openers,
        ),
    }


def _write_file(doc: str, modules: list[ModuleType], imports: str, parts: list[str]) -> str:
    text = "\n".join([*map(_imports_of, modules), imports, *parts])
    return _format(_HEAD.format(doc) + text)


def _imports_of(module: ModuleType) -> str:
    """All that it imports, of which most is not needed."""
    tree = ast.parse(inspect.getsource(module))
    typed = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    nodes = [*tree.body, *(part for node in typed for part in node.body)]
    lines = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    taken = (" Execution", "EventStream", "HubConnection", "import KernelClient", "__future__", "import connect")
    taken += ("import Introspection", "import Admission")
    return "\n".join(
        "from rpyc_kernel.client.execution import Interruption" if "Interruption" in line else line
        for line in lines
        if "Interruption" in line or not any(name in line for name in taken)
    )


def _constants_of(module: ModuleType) -> list[ast.stmt]:
    """Its private names, and functions, that methods use."""
    wanted = {"_T", "_ANSWER_S", "_HUB_S", "_QUEUE_PAGE", "_TIMEOUT_S", "_require_code"}
    return [
        node
        for node in ast.parse(inspect.getsource(module)).body
        if (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in wanted)
        or (isinstance(node, ast.FunctionDef) and node.name in wanted)
    ]


def _derive_class(name: str, module: ModuleType, doc: str) -> str:
    tree = next(
        node
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef) and node.name == name
    )
    tree.name = _NEW_NAMES.get(name, name)
    attributes = ast.parse(_ATTRIBUTES.get(tree.name, "")).body
    kept = [node for node in tree.body[1:] if not (isinstance(node, ast.FunctionDef) and node.name in _LEFT_OUT)]
    tree.body = [ast.Expr(ast.Constant(doc)), *attributes, *kept]
    return ast.unparse(ast.fix_missing_locations(_Awaiting(_ASYNC_METHODS).visit(tree)))


class _Awaiting(ast.NodeTransformer):
    """Awaits what waits, and makes those who do so be awaited."""

    def __init__(self, methods: set[str]) -> None:
        self._methods = methods

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
            node.body[0].value.value = _without_example(str(node.body[0].value.value))
        self.generic_visit(node)
        if not _waits(node):
            return node
        decorators = [each for each in node.decorator_list if ast.unparse(each) != "property"]
        return ast.AsyncFunctionDef(**{**dict(ast.iter_fields(node)), "decorator_list": decorators})

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(_NEW_NAMES.get(node.id, node.id), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node) == "self.last_stack" and isinstance(node.ctx, ast.Load):
            return ast.Await(ast.Call(node, [], []))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        function = ast.unparse(node.func)
        if function in _ASKS or function.removeprefix("self.") in self._methods:
            return ast.Await(node)
        if (
            isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Await)
            and node.func.attr == "result"
        ):
            return ast.Await(node)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if ast.unparse(node) == _DROPPED:
            return None
        self.generic_visit(node)
        return node


def _waits(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Await) for each in ast.walk(node))


def _find_async_methods() -> set[str]:
    """The names of methods that wait: until no further one is found that calls one of them."""
    trees = [node for module, _ in _CLASSES.values() for node in ast.parse(inspect.getsource(module)).body]
    methods = [
        each
        for node in trees
        if isinstance(node, ast.ClassDef) and node.name in _CLASSES
        for each in node.body
        if isinstance(each, ast.FunctionDef) and each.name not in _LEFT_OUT
    ]
    found: set[str] = set()
    while True:
        copies = {each.name: _Awaiting(found).visit(ast.parse(ast.unparse(each)).body[0]) for each in methods}
        more = {name for name, copy in copies.items() if isinstance(copy, ast.AsyncFunctionDef)}
        if more <= found:
            return found
        found |= more


def _derive_opener(name: str, module: ModuleType) -> str:
    tree = next(
        node
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    doc = _without_example(ast.get_docstring(tree, clean=False) or "")
    for before, after in _ON_THREADS.items():
        doc = doc.replace(before, after)
    by_place = "".join(f", {each.arg}" for each in tree.args.args)
    by_name = "".join(f", {each.arg}={each.arg}" for each in tree.args.kwonlyargs)
    opens = f"{module.__name__.rpartition('.')[2]}.{name}"
    if name == "kernels":
        call = f"return await to_thread.run_sync({opens}{by_place})"
        tree = ast.AsyncFunctionDef(**dict(ast.iter_fields(tree)))
    else:
        call = f"return Opening({opens}{by_place}{by_name})"
        tree.returns = ast.Name("Opening", ast.Load())
    tree.body = [ast.Expr(ast.Constant(doc)), *ast.parse(call).body]
    return ast.unparse(ast.fix_missing_locations(tree))


def _without_example(doc: str) -> str:
    """The examples are those of a program with threads; `docs/async.md` has others."""
    head, example, _ = doc.partition("        Example:\n")
    if not example:
        head, example, _ = doc.partition("    Example:\n")
    return head.rstrip() + doc[len(doc.rstrip()) :] if example else doc


def _format(text: str) -> str:
    for command in (("check", "--fix", "--quiet", "--exit-zero"), ("format", "--quiet")):
        ruff = [Path(sys.executable).parent / "ruff", *command, "--stdin-filename", str(ROOM / "derived.py"), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return text


_ASYNC_METHODS = _find_async_methods()

if __name__ == "__main__":
    for path, text in write_files().items():
        path.write_text(text)
    subprocess.run([sys.executable, Path(__file__).with_name("aio_page.py")], check=True)  # by what they are now
