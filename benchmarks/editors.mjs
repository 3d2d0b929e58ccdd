// What an editor in node asks of a kernel, through our stdio server and through Jupyter's messages to ipykernel.
//
// Told by RPYC_KERNEL_BENCHMARK: {command, kernel, peer (a connection file's content), rounds, calls}.
// Prints {work: {ours: [ms, ...], library: [ms, ...], ipykernel: [ms, ...]}}; `library` is ours, too.

import { spawn } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import rpc from "vscode-jsonrpc/node";
import zmq from "zeromq";

const { command, kernel, peer, rounds, calls } = JSON.parse(process.env.RPYC_KERNEL_BENCHMARK);
const DEFINE = `
import os
numbers = [1, 2, 3]
def add(one, two):
    "Adds two."
    return one + two
`;
const WARM = 30;

/** Our server, in a process of its own; how messages get there and back is for the two classes below. */
class Ours {
  #finished = new Map();

  constructor() {
    this.server = spawn(command[0], [...command.slice(1), "serve", kernel, "--stdio"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
  }

  hear({ events }) {
    for (const event of events) if (event.kind === "finished") this.#ended(event.execution).tell();
  }

  /** The end of an execution, which may be told of before its number is. */
  #ended(number) {
    if (!this.#finished.has(number)) {
      const ended = {};
      ended.told = new Promise((resolve) => (ended.tell = resolve));
      this.#finished.set(number, ended);
    }
    return this.#finished.get(number);
  }

  async open() {
    await this.evaluate(DEFINE);
  }

  /** Have events told, while somebody waits for them: the kernel tells them to each who has asked. */
  follow = () => this.ask("events/subscribe");
  unfollow = () => this.ask("events/unsubscribe");

  complete = (code) => this.ask("kernel/complete", { code });
  inspect = (code) => this.ask("kernel/inspect", { code, source: false });
  evaluate = (code) => this.ask("code/run", { code });

  /** Queue code, and wait until its end is told, behind all its output. */
  async execute(code) {
    const number = await this.ask("kernel/execute", { code });
    await this.#ended(number).told;
  }

  close() {
    this.server.stdin.end();
  }
}

/** By hand, as Jupyter's messages below. */
class ByHand extends Ours {
  #waiting = new Map();
  #asked = 0;
  #data = Buffer.alloc(0);

  constructor() {
    super();
    this.server.stdout.on("data", (data) => this.#take(data));
  }

  ask(method, params = {}) {
    const id = ++this.#asked;
    const message = JSON.stringify({ jsonrpc: "2.0", id, method, params });
    const answered = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.server.stdin.write(`Content-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`);
    return answered;
  }

  #take(data) {
    this.#data = this.#data.length ? Buffer.concat([this.#data, data]) : data;
    for (let end; (end = this.#data.indexOf("\r\n\r\n")) >= 0; ) {
      const start = end + 4;
      const length = Number(/content-length: *(\d+)/i.exec(this.#data.toString("latin1", 0, end))[1]);
      if (this.#data.length < start + length) return;
      const { id, method, params, result, error } = JSON.parse(this.#data.subarray(start, start + length));
      this.#data = this.#data.subarray(start + length);
      if (method === "events") this.hear(params);
      if (id === undefined) continue;
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) reject(new Error(error.message));
      else resolve(result);
    }
  }
}

/** By the library that editors have for language servers. */
class ByLibrary extends Ours {
  constructor() {
    super();
    this.connection = rpc.createMessageConnection(this.server.stdout, this.server.stdin);
    this.connection.onNotification("events", (told) => this.hear(told));
    this.connection.listen();
  }

  ask(method, params = {}) {
    return this.connection.sendRequest(method, rpc.ParameterStructures.byName, params);
  }
}

/** Jupyter's messaging protocol, as a client of ipykernel. */
class Peer {
  #waiting = new Map();
  #session = randomUUID();
  shell = new zmq.Dealer();
  iopub = new zmq.Subscriber();

  constructor() {
    for (const name of ["shell", "iopub"]) this[name].connect(`tcp://${peer.ip}:${peer[`${name}_port`]}`);
    this.iopub.subscribe();
  }

  async #listen(socket, take) {
    for await (const frames of socket) {
      const at = frames.findIndex((frame) => frame.equals(Buffer.from("<IDS|MSG>"))) + 2;
      const [header, parent, , content] = frames.slice(at).map((frame) => JSON.parse(frame));
      take(header, parent, content);
    }
  }

  async open() {
    this.#listen(this.shell, (header, parent) => this.#waiting.get(`reply ${parent.msg_id}`)?.());
    this.#listen(this.iopub, (header, parent, content) => {
      if (content.execution_state === "idle") this.#waiting.get(`idle ${parent.msg_id}`)?.();
    });
    for (let isThere = false; !isThere; ) {
      const asked = this.#ask("kernel_info_request", {}, ["reply", "idle"]);
      isThere = await Promise.race([asked.then(() => true), new Promise((end) => setTimeout(end, 500, false))]);
    }
    await this.evaluate(DEFINE);
  }

  async #ask(type, content, until = ["reply"]) {
    const id = randomUUID();
    const header = { msg_id: id, session: this.#session, username: "", date: new Date(), msg_type: type, version: "5.3" };
    const parts = [header, {}, {}, content].map((part) => JSON.stringify(part));
    const mac = createHmac("sha256", peer.key);
    parts.forEach((part) => mac.update(part));
    const ends = until.map((what) => new Promise((resolve) => this.#waiting.set(`${what} ${id}`, resolve)));
    await this.shell.send(["<IDS|MSG>", mac.digest("hex"), ...parts]);
    await Promise.all(ends);
    until.forEach((what) => this.#waiting.delete(`${what} ${id}`));
  }

  complete = (code) => this.#ask("complete_request", { code, cursor_pos: code.length });
  inspect = (code) => this.#ask("inspect_request", { code, cursor_pos: code.length, detail_level: 0 });
  /** All of its output is there when the reply and `idle` are. */
  evaluate = (code) => this.#ask("execute_request", { code, silent: false, store_history: true }, ["reply", "idle"]);
  execute = this.evaluate;

  close() {
    this.shell.close();
    this.iopub.close();
  }
}

const AMONG_EVENTS = "execute 1 + 1: its number, then its end among events";
const WORKS = {
  "completion: numbers.app": (side) => side.complete("numbers.app"),
  "completion: os.pa": (side) => side.complete("os.pa"),
  "hover: add": (side) => side.inspect("add"),
  "execute 1 + 1, to its end with all output": (side) => side.evaluate("1 + 1"),
  [AMONG_EVENTS]: (side) => side.execute("1 + 1"),
};

const sides = { ours: new ByHand(), library: new ByLibrary(), ipykernel: new Peer() };
for (const side of Object.values(sides)) await side.open();
const figures = {};

/** Have one side do a work, again and again; returns how long each took, in ms. */
async function measure(side, name, times) {
  if (name === AMONG_EVENTS) await side.follow?.();
  const took = [];
  for (let call = 0; call < times; call++) {
    const begin = process.hrtime.bigint();
    await WORKS[name](side);
    took.push(Number(process.hrtime.bigint() - begin) / 1e6);
  }
  if (name === AMONG_EVENTS) await side.unfollow?.();
  return took;
}

for (const name of Object.keys(WORKS)) {
  figures[name] = Object.fromEntries(Object.keys(sides).map((whose) => [whose, []]));
  for (const side of Object.values(sides)) await measure(side, name, WARM);
}
for (let round = 0; round < rounds; round++)
  for (const name of Object.keys(WORKS))
    for (const [whose, side] of Object.entries(sides)) figures[name][whose].push(...(await measure(side, name, calls)));
for (const side of Object.values(sides)) await side.close();
console.log(JSON.stringify(figures));
process.exit();
