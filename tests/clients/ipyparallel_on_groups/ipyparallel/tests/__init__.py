"""Where ipyparallel's tests are put."""
