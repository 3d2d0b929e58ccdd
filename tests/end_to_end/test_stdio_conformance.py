"""The stdio server held against its own schema by a client that is not ours: `vscode-jsonrpc` under node."""

import json
from importlib.util import find_spec

from tests.end_to_end.terminals import COMMAND, ROOT
from tests.support.folders import Folders
from tests.support.node import run_node, skip_without

SUITE = ROOT / "tests" / "conformance"


def test_vscode_jsonrpc_gets_all_that_the_schema_promises(folders: Folders) -> None:
    skip_without(SUITE)
    done = run_node(
        SUITE,
        "--test",
        "--test-reporter=spec",
        "conformance.test.mjs",
        RPYC_KERNEL_COMMAND=json.dumps(COMMAND),
        CONFORMANCE_DEBUGS="yes" if find_spec("debugpy") else "no",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


def test_the_documented_program_does_what_it_says(folders: Folders) -> None:
    skip_without(SUITE)
    page = (ROOT / "docs" / "editors.md").read_text()
    _, _, program = page.partition("```js\n")
    done = run_node(SUITE, "--input-type=module", "--eval", program.partition("```")[0])
    assert done.returncode == 0, done.stderr
    assert "hello Ada" in done.stdout.splitlines()
    assert "text: 'upper'" in done.stdout
