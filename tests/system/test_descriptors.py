"""How descriptors are taken away."""

import os

from rpyc_kernel.system.descriptors import take_away


def test_what_is_taken_away_has_another_number_and_nothing_is_found_at_its_own():
    read_end, write_end = os.pipe()
    taken = take_away(read_end)
    try:
        os.write(write_end, b"there")
        assert os.read(read_end, 10) == b""
        assert os.read(taken, 10) == b"there"
        assert not os.get_inheritable(taken)
    finally:
        for descriptor in (read_end, write_end, taken):
            os.close(descriptor)
