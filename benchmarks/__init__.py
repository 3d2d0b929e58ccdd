"""Every claim about speed, each measured beside its peer in one run."""
