"""The page of the stdio server's protocol is what its schema says."""

from __future__ import annotations

import runpy

from tests.docs.pages import ROOT, read_page


def test_the_page_is_up_to_date() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "protocol_page.py"))["write_page"]()
    assert read_page("protocol.md") == written, "run 'python scripts/protocol_page.py'"
