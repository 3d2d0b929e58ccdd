"""The command line: ``rpyc-kernel``."""
