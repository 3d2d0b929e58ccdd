"""Commands and events: calls whose arguments and answers are plain values, in RPyC's format."""
