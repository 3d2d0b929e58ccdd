"""ask.py KERNEL [CODE]: run code that asks for a line, with more code behind it, and say ``asks N`` when it does."""

import sys
import threading

import rpyc_kernel

kernel_name, *codes = sys.argv[1:]

with rpyc_kernel.connect(kernel_name, name="asker", timeout=60) as kernel:
    execution = kernel.submit("answer = input('who? ')")
    for code in codes:
        kernel.submit(code)
    for event in execution.events(timeout=60):
        if event.kind == "input_requested":
            print("asks", execution.id, flush=True)
            threading.Event().wait()  # to be killed
