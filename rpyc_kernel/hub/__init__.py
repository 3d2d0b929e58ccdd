"""The process that owns the port, the sessions, the queue and the journal. It never runs user code."""
