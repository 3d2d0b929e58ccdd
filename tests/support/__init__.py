"""What tests share: waiting, processes, folders of a test, a network that breaks, and the search for leaks."""
