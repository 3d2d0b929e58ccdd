"""Debugging by Jupyter's messages: the Debug Adapter Protocol, and what Jupyter adds to it."""
