"""Many kernels, one conversation: the same thing said to all of them, and what each answers."""
