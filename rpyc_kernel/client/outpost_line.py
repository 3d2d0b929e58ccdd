"""What a client and its outpost on another machine know each other by."""

from __future__ import annotations

MODULE = "rpyc_kernel.client.outpost"

ANSWER = "rpyc-kernel-answer "
"""Begins the line of the answer; what else is written there is a profile's, or a module's."""

TO_STAY = "--to-stay"
"""Says that what is started is to go on after the log-out."""
