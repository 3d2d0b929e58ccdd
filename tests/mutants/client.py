"""Broken promises of the client's library."""

from tests.mutants import Mutant

_NAMED = ("client/test_hostile_hub.py::test_no_class_that_a_hub_names_is_imported_or_made",)

MUTANTS = (
    Mutant(
        promise="a client imports nothing that a hub names",
        file="wire/value_call.py",
        before='"import_custom_exceptions": False',
        after='"import_custom_exceptions": True',
        tests=_NAMED,
    ),
    Mutant(
        promise="a client makes no exceptions of classes that a hub names",
        file="wire/value_call.py",
        before='"instantiate_custom_exceptions": False',
        after='"instantiate_custom_exceptions": True',
        tests=_NAMED,
    ),
    Mutant(
        promise="a client of live objects imports nothing that a kernel names",
        file="wire/configuration.py",
        before='"import_custom_exceptions": False',
        after='"import_custom_exceptions": True',
        tests=("wire/test_connection_security.py::test_exceptions_of_the_server_make_no_classes_and_import_nothing",),
    ),
    Mutant(
        promise="a client of live objects makes no exceptions of classes that a kernel names",
        file="wire/configuration.py",
        before='"instantiate_custom_exceptions": False',
        after='"instantiate_custom_exceptions": True',
        tests=("wire/test_connection_security.py::test_exceptions_of_the_server_make_no_classes_and_import_nothing",),
    ),
)
