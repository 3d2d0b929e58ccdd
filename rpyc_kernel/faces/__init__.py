"""What people and other programs see of a kernel. Each face stands on the client library alone."""
