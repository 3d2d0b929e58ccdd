"""The Jupyter face: a bridge between one Jupyter connection file and one kernel, of which it is a client."""
