"""Broken promises of what passes between processes."""

from tests.mutants import Mutant

MUTANTS = (
    Mutant(
        promise="a client that does not know the key is refused",
        file="wire/handshake.py",
        before='if not hmac.compare_digest(answer, _proof(key, b"client", hello, said, blob)):',
        after="if not answer:",
        tests=("wire/test_handshake.py::test_a_client_that_does_not_know_the_key_is_told_so",),
    ),
    Mutant(
        promise="a hub that does not know the key is not told who the client is",
        file="wire/handshake.py",
        before='if not hmac.compare_digest(proof, _proof(key, b"hub", hello, said)):',
        after="if not proof:",
        tests=("wire/test_handshake.py::test_a_hub_that_does_not_know_the_key_learns_nothing_from_the_client",),
    ),
)
