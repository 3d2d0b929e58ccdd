"""job_control.py COMMAND...: as little of a shell as stops a command and has it go on.

When the command has stopped, says ``stopped`` and whether the terminal is ``sane`` or ``raw`` then, and has it go on
when Enter is pressed. Its first line is ``job N``, the number of the process.
"""

import os
import signal
import sys
import termios

signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # else to take the terminal back would stop us
signal.signal(signal.SIGINT, signal.SIG_IGN)
own_group = os.getpgrp()
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    print("job", os.getpid(), flush=True)
    for number in (signal.SIGTTOU, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    _, status = os.waitpid(job, os.WUNTRACED)
    os.tcsetpgrp(0, own_group)
    if not os.WIFSTOPPED(status):
        sys.exit(os.waitstatus_to_exitcode(status))
    modes = termios.tcgetattr(0)
    wanted = termios.ECHO | termios.ICANON | termios.ISIG
    print(
        "\r\n\x1b[Jstopped", "sane" if modes[3] & wanted == wanted and modes[1] & termios.OPOST else "raw", flush=True
    )
    modes[3] |= wanted
    modes[0] |= termios.ICRNL
    modes[1] |= termios.OPOST
    termios.tcsetattr(0, termios.TCSANOW, modes)
    input("shell$ ")
    os.tcsetpgrp(0, job)
    os.killpg(job, signal.SIGCONT)
