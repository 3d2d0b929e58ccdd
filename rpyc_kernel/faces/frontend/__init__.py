"""What all front ends share: what is shown of a kernel's events, whose it is, what is typed, and what Ctrl-C means."""
