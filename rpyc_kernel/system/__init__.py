"""The world outside: processes, shared memory, folders, local sockets. Whatever is POSIX-only is in here."""
