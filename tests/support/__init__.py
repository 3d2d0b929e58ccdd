"""What tests share: waiting, processes and their end, folders of a test's own, and the search for leaks."""
