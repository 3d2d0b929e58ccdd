"""What stands beside the transcript: who waits for what, who is here, the variables, the plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static, TabbedContent, TabPane

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.faces.frontend.plots import Picture
from rpyc_kernel.faces.frontend.summaries import summarise_sessions
from rpyc_kernel.faces.frontend.transcript import Item
from rpyc_kernel.faces.screen.plots_pane import PlotsPane
from rpyc_kernel.faces.screen.queue_pane import QueuePane
from rpyc_kernel.faces.screen.variables_pane import VariablesPane


class SidePanes(Vertical):
    """The panes, one behind the other.

    Args:
        kernel: is asked for variables.
    """

    def __init__(self, kernel: KernelClient) -> None:
        super().__init__(id="side")
        self._kernel = kernel
        self._people = ""

    def compose(self) -> ComposeResult:
        """Build them."""
        with TabbedContent():
            with TabPane("Queue", id="queue-pane"):
                yield QueuePane()
            with TabPane("People", id="people-pane"):
                yield Static(id="people", markup=False)
            with TabPane("Variables", id="variables-pane"):
                yield VariablesPane(self._kernel)
            with TabPane("Plots", id="plots-pane"):
                yield PlotsPane()

    def show_status(self, status: dict[str, Any], session: str) -> None:
        """Show who waits for what, and who is here."""
        self.query_one(QueuePane).show(status, session)
        if (people := "\n".join(summarise_sessions(status["sessions"], session))) != self._people:
            self._people = people
            self.query_one("#people", Static).update(people)

    def show_variables(self) -> None:
        """Show what is in the namespace now."""
        self.query_one(VariablesPane).look()

    def show_plots(self, pictures: Mapping[Item, Picture]) -> None:
        """Show the newest pictures."""
        self.query_one(PlotsPane).show(pictures)

    def turn(self) -> None:
        """Have the keys go to the pane in front; if they do, to the next one."""
        tabs = self.query_one(TabbedContent)
        names = [pane.id for pane in tabs.query(TabPane)]
        if self.has_focus_within:
            tabs.active = str(names[(names.index(tabs.active) + 1) % len(names)])
        front = self.query_one(f"#{tabs.active}", TabPane)
        inside = [each for each in front.query("*") if each.focusable]
        (inside[0] if inside else tabs.query_one("Tabs")).focus()
