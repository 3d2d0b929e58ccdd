"""Writes docs/reference/protocol.md from the schema of the stdio server."""

import json
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from rpyc_kernel.faces.stdio.framing import MAX_BYTES  # noqa: E402
from rpyc_kernel.faces.stdio.peer import MAX_UNANSWERED  # noqa: E402
from rpyc_kernel.faces.stdio.schema import describe_protocol  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "protocol.md"

_HEAD = f"""\
# The protocol of `rpyc-kernel serve`

For programs in any language: one process serves any number of kernels, on standard input and output
(`rpyc-kernel serve NAME --stdio`) or to whoever knows a key on a port of this machine (`--tcp 0`). It talks JSON-RPC
2.0 in the base protocol of LSP, so that the libraries that editors have for language servers do: each message is
`Content-Length: N`, an empty line (line ends are `\\r\\n`), and N bytes of JSON in UTF-8.

`python scripts/protocol_page.py` writes this page from what the server checks by; `rpyc-kernel serve --schema` prints
the same as JSON Schema.

* Parameters are given by name, in an object. A parameter that has a default may be left out, or be null.
* Requests are answered as they are done, in any order, and an answer may come before the events that tell of the same.
  `$/cancelRequest` with an `id` ends one early.
* A method of the form `kernel/NAME` is the [command](commands.md) NAME of the kernel; `kernel` says which kernel, and
  may be left out where the server is connected to one only.
* A connection that is lost is made again by itself. Events go on from where they were, each once.
* What is wrong with a request is said in its response, and in no other. What cannot be read is answered with the id
  null, and the next header is looked for behind it. Messages may have {MAX_BYTES:,} bytes, and {MAX_UNANSWERED:,}
  requests may wait for an answer; batches are not taken.
* A client that does not read is waited for: its events stay in the kernel's journal.
* The server ends after `exit`, by SIGTERM, and when its input ends: as soon as what was asked is answered, or nobody
  reads its output. On a port that holds for a client's connection, and the server ends by SIGTERM. Kernels and what
  runs in them go on.

A first conversation, without the headers:

```json
{{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {{"client_name": "my editor"}}}}
{{"jsonrpc": "2.0", "id": 2, "method": "events/subscribe", "params": {{"answers_prompts": true}}}}
{{"jsonrpc": "2.0", "id": 3, "method": "code/run", "params": {{"code": "6 * 7"}}}}
```
"""


def write_page() -> str:
    """The whole page."""
    told = describe_protocol()
    return "\n".join(
        [
            _HEAD,
            "## Methods\n",
            *(_describe_method(name, each) for name, each in told["methods"].items()),
            "## Notifications of a client\n",
            *(_describe_notice(name, each) for name, each in told["client_notifications"].items()),
            "## Notifications of the server\n",
            *(_describe_notice(name, each) for name, each in told["notifications"].items()),
            "## Requests of the server\n",
            *(_describe_notice(name, each) for name, each in told["requests"].items()),
            "## Errors\n",
            "An error of the package has its class's name in `data.type`.\n",
            _table(
                "code | type | meaning",
                [f"{code} | {each.get('type', '')} | {each['description']}" for code, each in told["errors"].items()],
            ),
            "## Answers\n",
            "Objects may have further fields in later releases.\n",
            _table("name | shape", [f"`{name}` | {_show(each)}" for name, each in told["$defs"].items()]),
        ]
    )


def _describe_method(name: str, method: dict) -> str:
    required = method["params"]["required"]
    rows = [
        f"`{each}` | {_show(schema)} | {_show_default(schema, each in required)} | {schema['description']}"
        for each, schema in method["params"]["properties"].items()
    ]
    parts = [f"### `{name}`\n", f"{textwrap.fill(method['description'], 120)}\n"]
    if rows:
        parts.append(_table("parameter | type | default | what it is", rows))
    who = f"For {method['role']}s and all above. " if name.startswith("kernel/") else ""
    errors = ", ".join(map(str, method["errors"]))
    parts.append(textwrap.fill(f"Result: {_show(method['result'])}. {who}Errors: {errors}.", 120) + "\n")
    return "\n".join(parts)


def _describe_notice(name: str, notice: dict) -> str:
    parts = [
        f"### `{name}`\n",
        f"{textwrap.fill(notice['description'], 120)}\n",
        f"Parameters: {_show(notice['params'])}.\n",
    ]
    if "result" in notice:
        parts.append(f"Result: {_show(notice['result'])}.\n")
    return "\n".join(parts)


def _show_default(schema: dict, is_required: bool) -> str:
    return "required" if is_required else f"`{json.dumps(schema['default'])}`"


def _show(schema: dict) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_show(each) for each in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_show(schema['items'])}" if "items" in schema else "list"
    if schema.get("type") == "object" and schema.get("properties"):
        return "{" + ", ".join(f"`{name}`: {_show(each)}" for name, each in schema["properties"].items()) + "}"
    return schema.get("type", "anything")


def _table(head: str, rows: list[str]) -> str:
    ruler = "|".join("---" for _ in head.split("|"))
    return "\n".join([f"| {head} |", f"|{ruler}|", *(f"| {row} |" for row in rows), ""])


if __name__ == "__main__":
    PAGE.write_text(write_page())
