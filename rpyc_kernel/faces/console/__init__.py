"""The terminal: a prompt on a shared kernel."""
