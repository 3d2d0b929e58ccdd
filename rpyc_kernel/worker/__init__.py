"""The process that holds the namespace and runs user code."""
