"""Live objects: RPyC's references to objects of the other side, on a connection of its own."""
