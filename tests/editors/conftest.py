"""What tests of editors get on request: kernels, as the end-to-end tests have them."""

from tests.end_to_end.kernels import demo, engine, folders, kernel, shared_kernel, shared_kernels  # noqa: F401 - fixtures
