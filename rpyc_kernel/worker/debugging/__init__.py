"""Debugging in the worker: Python's own debuggers at a prompt, and debugpy for one client at a time."""
