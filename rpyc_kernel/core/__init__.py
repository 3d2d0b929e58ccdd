"""What is decided: pure objects without threads, sockets, clocks or RPyC."""
