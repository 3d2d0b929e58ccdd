"""follow.py KERNEL SESSION FILE EXECUTION: append what an execution prints to FILE until it has ended.

It can be killed and run again. Each line of FILE is the number of an event and its text, as JSON. The kernel remembers
how far the session got as of some moment ago, so what FILE has already is left out. Says ``has N`` now and then, with
the number of bytes in FILE, and ``finished``.
"""

import json
import sys

import rpyc_kernel

kernel_name, session, path, execution = sys.argv[1:]

with open(path, "ab+") as file:
    file.seek(0)
    kept = b"".join(line for line in file if line.endswith(b"\n"))  # the last may have been cut by our death
    file.truncate(len(kept))
    last = json.loads(kept.splitlines()[-1])[0] if kept else 0
    size, told = len(kept), 0
    del kept
    with rpyc_kernel.connect(kernel_name, session=session, timeout=60) as kernel:
        for event in kernel.events(since=None):
            if event.seq <= last or event.execution != int(execution):
                continue
            if event.kind == "finished":
                break
            if event.kind == "stream":
                size += file.write(json.dumps([event.seq, event.text]).encode() + b"\n")
                file.flush()
            if size > told:
                print("has", size, flush=True)
                told = size + 1_000_000
print("finished", flush=True)
