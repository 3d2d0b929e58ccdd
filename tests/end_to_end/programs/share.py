"""share.py KERNEL NAME FILE [CODE...]: follow everything from the first event on, and run codes meanwhile.

Says ``done`` when they have ended. Then a line on standard input gives the number of an event. When that event has
come, writes everything up to it to FILE, one line of JSON for each event, and says ``written``.
"""

import json
import sys
import threading

import rpyc_kernel

kernel_name, own_name, file, *codes = sys.argv[1:]
TIMEOUT_S = 60

with rpyc_kernel.connect(kernel_name, name=own_name, timeout=TIMEOUT_S) as kernel:
    arrived = threading.Condition()
    lines: list[str] = []

    def follow() -> None:
        for event in kernel.events(since=0):
            with arrived:
                assert event.seq == len(lines) + 1
                lines.append(json.dumps(event.as_dict()))
                arrived.notify()

    threading.Thread(target=follow, daemon=True).start()
    for run in [kernel.submit(code, stop_on_error=False) for code in codes]:
        run.exception(TIMEOUT_S)
    print("done", flush=True)
    last = int(input())
    with arrived:
        assert arrived.wait_for(lambda: len(lines) >= last, TIMEOUT_S)
        everything = "".join(line + "\n" for line in lines[:last])
    with open(file, "w") as opened:
        opened.write(everything)
    print("written", flush=True)
