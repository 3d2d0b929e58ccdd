"""A kernel as an engine of ipyparallel: its controller is told of it, and passes on what its clients ask."""
