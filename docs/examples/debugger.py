"""Runs a file to a line, and shows what is there: python debugger.py NAME FILE LINE; then n, s, c, or an expression."""

import itertools
import os
import queue
import sys
import threading

import rpyc_kernel


class Debugger:
    def __init__(self, kernel):
        self.channel, self.numbers = kernel.open_debugger(), itertools.count(1)
        self.answers, self.stops = queue.Queue(), queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while message := self.channel.receive():
            if message["type"] == "response":
                self.answers.put(message)
            elif message["event"] == "stopped":
                self.stops.put(message["body"]["threadId"])

    def ask(self, command, **arguments):
        self.channel.send({"type": "request", "seq": next(self.numbers), "command": command, "arguments": arguments})
        answer = self.answers.get(timeout=30)
        return answer.get("body") or {"result": answer.get("message")}


def show(debugger, thread):
    frames = debugger.ask("stackTrace", threadId=thread)["stackFrames"]
    for frame in reversed(frames):
        print(f"{frame['source']['path']}:{frame['line']} in {frame['name']}")
    scope = debugger.ask("scopes", frameId=frames[0]["id"])["scopes"][0]
    for variable in debugger.ask("variables", variablesReference=scope["variablesReference"])["variables"]:
        print(f"    {variable['name']} = {variable['value']}")
    return frames[0]["id"]


with rpyc_kernel.connect(sys.argv[1]) as kernel:
    debugger, path = Debugger(kernel), os.path.abspath(sys.argv[2])
    debugger.ask("initialize", adapterID="")
    debugger.ask("attach")
    debugger.ask("setBreakpoints", source={"path": path}, breakpoints=[{"line": int(sys.argv[3])}])
    debugger.ask("configurationDone")
    run = kernel.run_file(path)
    run.add_done_callback(lambda _: debugger.stops.put(None))
    while (thread := debugger.stops.get()) is not None:
        frame = show(debugger, thread)
        while (line := input("(debug) ")) not in ("n", "s", "c"):
            print(debugger.ask("evaluate", expression=line, frameId=frame)["result"])
        debugger.ask({"n": "next", "s": "stepIn", "c": "continue"}[line], threadId=thread)
    print(run.stdout, end="")
