from rpyc_kernel.faces.frontend.words import first_line, join_numbers


def test_code_is_recognised_by_its_first_line():
    assert first_line("\n  work(1)\nmore()") == "work(1)"
    assert first_line("x" * 100) == "x" * 57 + "..."


def test_numbers_are_joined_as_in_a_sentence():
    assert join_numbers([3]) == "[3]"
    assert join_numbers([3, 4, 7]) == "[3], [4] and [7]"
