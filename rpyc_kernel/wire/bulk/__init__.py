"""Large values: copied from memory into memory over a socket of their own."""
