"""The full screen: the same in one terminal, with the queue, the people, variables and plots beside it."""
