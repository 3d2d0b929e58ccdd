"""What each command takes and refuses, as the table says."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.core import introspection, kinds, shapes
from rpyc_kernel.core.commands import COMMANDS, REQUIRED, Command, Parameter, open_to
from rpyc_kernel.core.contract import MAX_CODE_CHARS, Role
from rpyc_kernel.core.shapes import Answer
from rpyc_kernel.errors import BadCode, NotPermitted, RequestError

PARAMETERS = [
    pytest.param(command, place, id=f"{command.name}-{parameter.name}")
    for command in COMMANDS.values()
    for place, parameter in enumerate(command.parameters)
]


def nest(depth):
    value = ()
    for _ in range(depth):
        value = (value,)
    return value


LONG = "x" * (MAX_CODE_CHARS + 1)
ANYTHING = {
    "None": None,
    "True": True,
    "0": 0,
    "-1": -1,
    "2**63": 2**63,
    "a huge int": 10**5000,
    "a huge negative int": -(10**400),
    "0.5": 0.5,
    "NaN": math.nan,
    "infinity": -math.inf,
    "a complex": 1j,
    "bytes": b"x",
    "empty bytes": b"",
    "a name": "x",
    "an empty text": "",
    "a keyword": "for",
    "a lone surrogate": "\ud800",
    "a null character": "a\0b",
    "a very long text": LONG,
    "a text too long for any call": "x" * (20 * 1024 * 1024 + 1),
    "()": (),
    "texts": ("a", "b"),
    "many texts": ("a",) * 10_001,
    "long texts": (LONG[:-2], "abc"),
    "mixed": ("a", None),
    "pairs": (("file", "a.py"), ("first_line", math.nan)),
    "pairs with bytes": (("file", b"a.py"),),
    "nested": nest(50),
    "deeply nested": nest(100_000),
    "a frozenset": frozenset({1}),
    "a slice": slice(1, 2, 3),
    "an ellipsis": ...,
    "NotImplemented": NotImplemented,
}
"""What stands here can mostly cross the wire: brine's types."""

NUMBERS = {"0", "-1", "2**63"}
TEXTS = {"a name", "an empty text", "a keyword", "a null character"}
FITS = {
    "bool": {"True"},
    "int": NUMBERS,
    "place": {"0", "-1"},
    "seconds": {*NUMBERS, "0.5"},
    "text": TEXTS,
    "code": TEXTS,
    "call": {*TEXTS, "a very long text"},
    "token": TEXTS,
    "name": {"a name"},
    "texts": {"()", "texts"},
    "source": {"None", "()"},
    "column": {"0", "None", *TEXTS},
    "sort": {"()", "0", "texts", "mixed", *TEXTS},
    "filter": {"()"},
}
"""What each kind takes of these; written down once more, and apart from the kinds themselves."""

RIGHT = {
    "bool": True,
    "int": 1,
    "place": 0,
    "seconds": 0.0,
    "text": "x",
    "code": "1",
    "call": "x",
    "token": "x",
    "name": "x",
    "texts": ("a",),
    "source": (),
    "column": 0,
    "sort": (),
    "filter": (),
}


def right_value(parameter):
    return parameter.choices[0] if parameter.choices else RIGHT[parameter.kind.name]


def right_values(command):
    return [right_value(parameter) for parameter in command.parameters]


def fits(parameter, label):
    if parameter.may_be_none and label == "None":
        return True
    return label in FITS[parameter.kind.name] and not parameter.choices


# The table


def test_the_table_has_every_command_once_and_under_its_name():
    assert len(COMMANDS) == 46
    assert {name: command.name for name, command in COMMANDS.items()} == {name: name for name in COMMANDS}


def test_what_changes_something_is_asked_once_unless_it_has_a_token():
    asked_once = {
        *(
            "approve",
            "decline",
            "cancel",
            "interrupt",
            "answer_input",
            "restart",
            "shutdown",
            "invite",
            "revoke",
            "kick",
            "listen",
            "certify",
        ),
        *(
            "evaluate",
            "set_variable",
            "delete_variable",
            "rename_variable",
            "set_cwd",
            "set_environment",
            "set_module_path",
        ),
    }
    assert {name for name, command in COMMANDS.items() if not command.is_repeatable} == asked_once
    only_look = {"invitations", "environment"}
    for name, command in COMMANDS.items():
        has_token = any(parameter.name == "token" for parameter in command.parameters)
        if command.role != Role.VIEWER and not has_token and name not in only_look:
            assert not command.is_repeatable, f"{name} may do something, so asking twice may do it twice"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_is_whole(command):
    assert command.doc.endswith(".")
    names = [parameter.name for parameter in command.parameters]
    assert len(set(names)) == len(names)
    needed = [parameter.default is REQUIRED for parameter in command.parameters]
    assert needed == sorted(needed, reverse=True)  # or what is left out could not be told
    assert command.bind([]) if not any(needed) and needed else True
    assert command.is_immediate or not command.by_worker
    assert NotPermitted not in command.raises
    assert command.answer in vars(shapes).values()


@pytest.mark.parametrize(
    ("role", "more"),
    [
        ("king", {"cannot": "rule"}),
        (Role.VIEWER, {"cannot": "look"}),
        (Role.VIEWER, {"shows_values": True}),
        (Role.EDITOR, {}),
    ],
)
def test_a_command_that_does_not_say_who_may_give_it_does_not_come_to_be(role, more):
    with pytest.raises(TypeError, match="role"):
        Command("go", "Go.", shapes.NOTHING)
    with pytest.raises(TypeError, match="'go' does not say who may give it"):
        Command("go", "Go.", shapes.NOTHING, role, **more)


def test_who_may_more_may_all_that_others_may():
    viewers, with_values = (open_to(Role.VIEWER, has_values=each) for each in (False, True))
    editors, owners = (open_to(role, has_values=False) for role in (Role.EDITOR, Role.OWNER))
    assert viewers < with_values < editors < owners == COMMANDS.keys()
    assert open_to(Role.EDITOR, has_values=True) == editors
    assert open_to("king", has_values=True) == frozenset()


@pytest.mark.parametrize(("command", "place"), PARAMETERS)
def test_a_default_is_what_its_own_parameter_takes(command, place):
    parameter = command.parameters[place]
    assert parameter.doc
    if parameter.default is not REQUIRED:
        assert parameter.read(parameter.default, parameter.name) == parameter.default


@pytest.mark.parametrize("answer", [each for each in vars(shapes).values() if isinstance(each, Answer)], ids=str)
def test_an_answer_is_a_class_of_introspection_or_says_how_it_looks(answer):
    described = {each.name for each in vars(shapes).values() if isinstance(each, Answer) and each.doc}
    assert isinstance(getattr(introspection, answer.name, None), type) != (answer.name in described)


# Right and wrong arguments


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_right_arguments_pass_by_place_and_by_name(command):
    values = right_values(command)
    named = dict(zip([parameter.name for parameter in command.parameters], values, strict=True))
    bound = command.bind(values)
    assert len(bound) == len(values)
    assert bound == command.bind([], named) == command.bind(values[:1], dict(list(named.items())[1:]))


@pytest.mark.parametrize(("command", "place"), PARAMETERS)
def test_a_wrong_argument_is_refused_by_its_name(command, place):
    parameter, values = command.parameters[place], right_values(command)
    for label, value in ANYTHING.items():
        values[place] = value
        if fits(parameter, label):
            command.bind(values)
            continue
        with pytest.raises(RequestError) as caught:
            command.bind(values)
        assert 0 < len(str(caught.value)) < 500, label


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_wrong_number_of_arguments_is_refused(command):
    values, names = right_values(command), [parameter.name for parameter in command.parameters]
    with pytest.raises(RequestError, match=f"^{command.name} takes {', '.join(names) or 'nothing'}, each once$"):
        command.bind([*values, None])
    for unknown in ("nonsense", "self"):
        with pytest.raises(
            RequestError, match=f"^{command.name} takes no '{unknown}', but {', '.join(names) or 'nothing'}"
        ):
            command.bind([], {unknown: 1})
    if names:
        with pytest.raises(RequestError, match="each once"):
            command.bind(values[:1], dict(zip(names, values, strict=True)))
    for count, parameter in enumerate(command.parameters):
        if parameter.default is REQUIRED:
            with pytest.raises(RequestError, match=f"^{command.name} needs {parameter.name}$"):
                command.bind(values[:count])
            with pytest.raises(RequestError, match=f"^{command.name} needs {parameter.name}$"):
                command.bind(
                    [], {name: value for name, value in zip(names, values, strict=True) if name not in names[count:]}
                )


def test_what_is_left_out_has_its_default():
    command = Command(
        "go",
        "Go.",
        shapes.NOTHING,
        Role.VIEWER,
        (Parameter("a", kinds.INT, "a"), *(Parameter(n, kinds.INT, n, 7) for n in "bc")),
    )
    assert command.bind([1]) == [1, 7, 7]
    assert command.bind([1, 2]) == [1, 2, 7]
    assert command.bind([], {"c": 3, "a": 1}) == [1, 7, 3]


LIMITED = [parameter for command in COMMANDS.values() for parameter in command.parameters if parameter.limits]


@given(st.sampled_from(LIMITED), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_beyond_its_limits_counts_as_the_nearest(parameter, whole, real):
    least, most = parameter.limits
    for number in (whole, real) if parameter.kind is kinds.SECONDS else (whole,):
        read = parameter.read(number, parameter.name)
        assert least <= read <= most
        assert read == (number if least <= number <= most else least if number < least else most)


def test_waiting_counts_and_limits_have_limits():
    names = ("wait_s", "timeout_s", "expires_s", "count", "limit", "limit_s", "start")
    every = [each for command in COMMANDS.values() for each in command.parameters if each.name in names]
    assert every == LIMITED


CHOOSING = [each for each in PARAMETERS if each.values[0].parameters[each.values[1]].choices]


@pytest.mark.parametrize(("command", "place"), CHOOSING)
def test_an_unknown_word_is_refused_with_those_that_are_known(command, place):
    parameter = command.parameters[place]
    for word in parameter.choices:
        assert parameter.read(word, parameter.name) == word
    with pytest.raises(RequestError, match=f"^unknown {parameter.name} 'x{'x' * 99}'; choose '{parameter.choices[0]}'"):
        parameter.read("x" * 1000, parameter.name)
    assert len(CHOOSING) == 5


@pytest.mark.parametrize("name", ["execute", "run"])
def test_code_that_cannot_travel_is_bad_code(name):
    for code in (LONG, "print('\ud800')"):
        with pytest.raises(BadCode, match=r"limit|lone surrogate at character 7"):
            COMMANDS[name].bind([code])
    assert COMMANDS[name].bind([LONG[:-1]])[0] == LONG[:-1]


@pytest.mark.parametrize("name", ["", "1x", "a b", "for", "a.b", "x" * 1000 + "-"])
def test_what_cannot_name_a_variable_is_refused(name):
    with pytest.raises(RequestError, match=f"^{name[:100]!r} cannot be the name of a variable$"):
        kinds.NAME.read(name, "name")
