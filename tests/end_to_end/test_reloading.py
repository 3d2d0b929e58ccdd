"""A shell has a program run in a kernel that is there, after its modules that have changed."""

from pathlib import Path

from rpyc_kernel import KernelClient
from tests.end_to_end.commands import run_command


def test_a_program_run_in_a_kernel_sees_the_modules_as_they_are(kernel: KernelClient, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import helper_of_program\nprint(helper_of_program.VALUE)")
    helper = tmp_path / "helper_of_program.py"
    helper.write_text("VALUE = 1")
    command = ("run", "--kernel", kernel.name, "--reload", str(program))
    assert run_command(*command).stdout == "1\n"
    helper.write_text("VALUE = 2")
    done = run_command(*command)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "Reloaded modules: helper_of_program\n")
    helper.write_text("VALUE = (")
    done = run_command(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the module 'helper_of_program', or what it imports, has changed and cannot be reloaded" in done.stderr
