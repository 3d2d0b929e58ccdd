// A server of its own for the suite, spoken to by vscode-jsonrpc; all that goes by is held against the schema.

import { execFileSync, spawn } from "node:child_process";
import assert from "node:assert/strict";
import { connect as connectSocket } from "node:net";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import rpc from "vscode-jsonrpc/node";

const { default: Ajv } = createRequire(import.meta.url)("ajv/dist/2020");
export const COMMAND = JSON.parse(process.env.RPYC_KERNEL_COMMAND ?? '["rpyc-kernel"]');

export const SCHEMA = JSON.parse(execFileSync(COMMAND[0], [...COMMAND.slice(1), "serve", "--schema"]));
export const CODES = Object.fromEntries(
  Object.entries(SCHEMA.errors).map(([code, { type }]) => [type ?? code, Number(code)]),
);
export const { CancellationTokenSource } = rpc;

const ajv = new Ajv({ strict: false });
const validators = new Map();

/** Check a value against a part of the schema. */
export function check(what, part, value) {
  if (!validators.has(what)) validators.set(what, ajv.compile({ $defs: SCHEMA.$defs, ...part }));
  const validate = validators.get(what);
  const shown = JSON.stringify(value)?.slice(0, 300);
  assert.ok(validate(value), `${what}: ${ajv.errorsText(validate.errors)}; it is ${shown}`);
}

export class Client {
  answered = new Set(); // methods whose result was right
  refused = new Map(); // method: the codes of its errors
  told = []; // notifications, in order: [method, params]
  asked = []; // the server's requests, in order: [method, params]
  logged = []; // answers to what was no request
  #connection;
  #seen = new Set();
  #looking = new Set();

  constructor(reader, writer) {
    const log = (words) => this.logged.push(words);
    this.#connection = rpc.createMessageConnection(reader, writer, { error: log, warn: log, info() {}, log() {} });
    this.#connection.onNotification((method, params) => this.#take(method, params));
    this.#connection.onUnhandledProgress((params) => this.#take("$/progress", params));
    this.#connection.listen();
  }

  /** A server on pipes. */
  static start(...options) {
    const server = spawn(COMMAND[0], [...COMMAND.slice(1), "serve", ...options, "--stdio"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const reader = new rpc.StreamMessageReader(server.stdout);
    const client = new Client(reader, new rpc.StreamMessageWriter(server.stdin));
    client.server = server;
    return client;
  }

  /** A server on a port, and a client of it that has not said its key yet. */
  static async listen() {
    const server = spawn(COMMAND[0], [...COMMAND.slice(1), "serve", "--tcp", "0"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const line = await new Promise((resolve) => createInterface(server.stdout).once("line", resolve));
    const { host, port, key } = JSON.parse(line);
    const socket = connectSocket(port, host);
    const client = new Client(new rpc.SocketMessageReader(socket), new rpc.SocketMessageWriter(socket));
    return Object.assign(client, { server, socket, key });
  }

  /** Ask as the schema says, and hold the answer against it. */
  async ask(method, params = {}, ...tokens) {
    const described = SCHEMA.methods[method];
    assert.ok(described, `the schema has no method ${method}`);
    check(`parameters of ${method}`, described.params, params);
    const result = await this.#connection.sendRequest(method, rpc.ParameterStructures.byName, params, ...tokens);
    check(`result of ${method}`, described.result, result);
    this.answered.add(method);
    return result;
  }

  /** Ask for what is refused, and return the error. */
  async refuse(method, params, code, ...tokens) {
    try {
      await this.#connection.sendRequest(method, rpc.ParameterStructures.byName, params, ...tokens);
    } catch (error) {
      assert.equal(error.code, code, `${method}: ${error.code} ${error.message}`);
      assert.ok(String(code) in SCHEMA.errors && error.message.length > 0, `${method}: ${error.message}`);
      const type = SCHEMA.errors[code].type;
      if (type) assert.equal(error.data?.type, type, `${method}: ${error.message}`);
      this.refused.set(method, [...(this.refused.get(method) ?? []), code]);
      return error;
    }
    return assert.fail(`${method} answers ${JSON.stringify(params)} though it should be refused`);
  }

  /** Answer one of the server's requests from now on. */
  onRequest(method, handle) {
    this.#connection.onRequest(method, async (params, token) => {
      check(`parameters of the request ${method}`, SCHEMA.requests[method].params, params);
      this.asked.push([method, params]);
      this.#look();
      const result = await handle(params, token);
      check(`answer to ${method}`, SCHEMA.requests[method].result, result);
      return result;
    });
  }

  tell(method, params) {
    return this.#connection.sendNotification(method, params);
  }

  #take(method, params) {
    const described = SCHEMA.notifications[method];
    assert.ok(described, `the schema has no notification ${method}`);
    check(`parameters of ${method}`, described.params, params);
    this.#seen.add(method);
    this.told.push([method, params]);
    this.#look();
  }

  #look() {
    for (const look of [...this.#looking]) look();
  }

  get seen() {
    return this.#seen;
  }

  /** Wait for what `find` makes of what was told. */
  wait(what, find) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = find(this.told);
        if (!found) return;
        this.#looking.delete(look);
        clearTimeout(timer);
        resolve(found);
      };
      const timer = setTimeout(() => reject(new Error(`${what} did not come in 30 s`)), 30_000);
      this.#looking.add(look);
      look();
    });
  }

  waitForNotice(method, fits = () => true, from = 0) {
    return this.wait(method, (told) => told.slice(from).find(([name, params]) => name === method && fits(params))?.[1]);
  }

  waitForEvent(kernel, fits) {
    const events = (told) => told.flatMap(([name, each]) => (name === "events" && each.kernel === kernel ? each.events : []));
    return this.wait("an event", (told) => events(told).find(fits));
  }

  /** Have the server end as a client should. */
  async leave() {
    const ended = new Promise((resolve) => this.server.once("exit", resolve));
    await this.ask("shutdown");
    await this.tell("exit");
    return ended;
  }
}
