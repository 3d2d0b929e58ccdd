"""What is read of a kernel's connection file, whatever stands in its place."""

import os

import pytest

from rpyc_kernel.errors import NoSuchKernel
from rpyc_kernel.wire.connection_file import ConnectionFile


@pytest.mark.timeout(10)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_no_connection_file_and_nobody_waits_for_it(tmp_path, make):
    make(tmp_path / "kernel.json")
    with pytest.raises(NoSuchKernel, match="is not a kernel's connection file"):
        ConnectionFile.read(tmp_path / "kernel.json")
