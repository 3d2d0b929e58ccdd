"""What programs use: start or find a kernel, run code in it, look at it, leave it."""
