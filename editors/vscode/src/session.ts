// A kernel as an editor has it: one server process, and what its events mean. Knows nothing of VS Code.

import { ChildProcess, spawn } from "child_process";
import { setTimeout as delay } from "timers/promises";
import * as rpc from "vscode-jsonrpc/node";

/** What is to be shown, in order. `code` begins an execution; `update` replaces what was shown under its `id`. */
export type Output =
  | { kind: "code"; execution: number; who: string; isOwn: boolean; text: string }
  | { kind: "text" | "error" | "note"; execution: number | null; text: string }
  | { kind: "data"; execution: number; mime: string; data: string; id: string | null; isUpdate: boolean }
  | { kind: "clear"; execution: number };

export type Variable = { name: string; path: string; type: string; preview: string; has_children: boolean };

/** What the editor does: a prompt that gets undefined is left to others; states are the kernel's, "lost" and "closed". */
export interface Front {
  show(output: Output): void;
  ask(prompt: string, isPassword: boolean, withdrawn: rpc.CancellationToken): Promise<string | null | undefined>;
  tellState(state: string, details: string): void;
}

/** `client` is as `connect` takes it; its `session` is the one to come back to. */
export type Settings = { command: string[]; client: { address: string; session?: string; [name: string]: unknown } };

const MIMES = ["image/png", "image/jpeg", "image/svg+xml", "text/html", "text/plain"];
const PART = 1_000_000;

export class Session {
  id = "";
  #connection!: rpc.MessageConnection;
  #server!: ChildProcess;
  #ended!: Promise<string>;
  #number = ""; // of the kernel, when it is connected
  #last = 0; // what there was when this session came
  #taking: Promise<void> = Promise.resolve();
  #isLooking = false;
  #isLost = false;
  #isClosed = false;

  constructor(private readonly front: Front) {}

  /** Start the server, connect, and be told of events: of a session that comes back, from where it left off. */
  async open(settings: Settings): Promise<void> {
    const [program, ...first] = settings.command;
    this.#server = spawn(program, [...first, "serve", "--stdio"], { stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    this.#server.stderr!.on("data", (data) => (said = (said + data).slice(-2000)));
    this.#ended = new Promise((resolve) => {
      this.#server.once("error", (error) => resolve(`${program} cannot be started: ${error.message}`));
      this.#server.once("exit", (code) => resolve(`the server has ended (${code}). ${said}`));
    });
    this.#ended.then((message) => this.#tellEnd(message));
    this.#server.stdin!.on("error", () => undefined); // told by its end
    this.#connection = rpc.createMessageConnection(this.#server.stdout!, this.#server.stdin!);
    this.#connection.onNotification("events", (told) => {
      this.#taking = this.#taking.then(() => this.#takeAll(told)).catch((error) => this.#note(`${error}`));
    });
    this.#connection.onNotification("connection", (told) => this.#takeConnection(told));
    this.#connection.onRequest("input/request", (asked, token) => this.#answer(asked, token));
    this.#connection.onProgress(new rpc.ProgressType<{ message: string }>(), "opening", (value) =>
      this.front.tellState("starting", value.message),
    );
    this.#connection.listen();
    const connecting = this.ask("connect", { ...settings.client, start: true, progress_token: "opening" });
    const ending = this.#ended.then((message) => Promise.reject(new Error(message)));
    const connected = await Promise.race([connecting, ending]).catch((error) => {
      this.#server.stdin!.end();
      throw error;
    });
    [this.#number, this.id, this.#last] = [connected.kernel, connected.session, connected.last];
    const since = connected.cursor ?? connected.last;
    if (since < connected.last) this.#note("while you were away:");
    await this.ask("kernel/acknowledge", { cursor: since }); // also where it leaves before anything comes
    await this.ask("events/subscribe", { resume: true, answers_prompts: true, max_part: PART });
    await this.#look();
  }

  /** Leave the kernel, which goes on. */
  async close(): Promise<void> {
    await Promise.race([this.#taking, delay(1000)]); // what was shown is acknowledged
    this.#isClosed = true;
    this.#server.stdin!.end();
    if (!(await Promise.race([this.#ended, delay(1000, "", { ref: false })]))) this.#server.kill("SIGKILL");
  }

  /** One of the protocol's methods, of this kernel. */
  async ask(method: string, params: object = {}, ...token: rpc.CancellationToken[]): Promise<any> {
    const named = { ...(this.#number && { kernel: this.#number }), ...params };
    return this.#connection.sendRequest(method, rpc.ParameterStructures.byName, named, ...token);
  }

  async #takeAll({ cursor, events }: { cursor: number; events: any[] }): Promise<void> {
    for (const event of events) {
      await this.#take(event);
      if (event.seq === this.#last) this.#note("and this is now");
    }
    if (this.#isClosed) return;
    await this.ask("kernel/acknowledge", { cursor }); // what was shown is not shown again to who comes back
    await this.#look();
  }

  #note(text: string, execution: number | null = null): void {
    this.front.show({ kind: "note", execution, text });
  }

  async #take(event: any): Promise<void> {
    const { execution } = event;
    const isOwn = event.session === this.id;
    switch (event.kind) {
      case "queued":
        return this.front.show({ kind: "code", execution, who: event.name, isOwn, text: event.code });
      case "stream":
        return this.front.show({ kind: event.name === "stderr" ? "error" : "text", execution, text: event.text });
      case "error":
        return this.front.show({ kind: "error", execution, text: `${event.traceback}\n` });
      case "result":
      case "display":
      case "page":
        return this.#show(event);
      case "clear_output":
        return this.front.show({ kind: "clear", execution });
      case "input_requested":
        return this.#note(`asks: ${event.prompt}`, execution);
      case "finished":
        if (["ok", "error"].includes(event.outcome)) return;
        return this.#note(event.reason ? `${event.outcome}: ${event.reason}` : event.outcome, execution);
      case "client_joined":
      case "client_left":
        return isOwn ? undefined : this.#note(`${event.name} has ${event.kind.slice("client_".length)}`);
      case "worker_started":
        return this.#note(`a fresh interpreter, generation ${event.generation}`);
      case "worker_died":
        return this.#note(`the interpreter has ended: ${event.reason}`);
    }
  }

  async #show(event: any): Promise<void> {
    const mime = MIMES.find((each) => each in event.data) ?? Object.keys(event.data)[0] ?? "text/plain";
    let data = event.data[mime] ?? "";
    for (let size = event.omitted?.[mime] ?? 0, start = 0; start < size; start += PART) {
      data += (await this.ask("events/data", { seq: event.seq, mime, start, count: PART })).text;
    }
    const id = event.display_id ?? null;
    this.front.show({ kind: "data", execution: event.execution, mime, data, id, isUpdate: event.is_update ?? false });
  }

  /** Tell how the kernel is; once for all that has asked for it meanwhile. */
  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const status = await this.ask("kernel/status").finally(() => (this.#isLooking = false));
    const others = status.sessions.filter((each: any) => each.id !== this.id && each.connections);
    const details = status.queue_length ? [`${status.queue_length} in the queue`] : [];
    if (others.length) details.push(`with ${others.map((each: any) => each.name).join(", ")}`);
    this.front.tellState(status.state, details.join("; "));
  }

  #takeConnection({ is_connected, is_closed, message }: any): void {
    if (is_closed) return this.#tellEnd(message);
    if (is_connected === this.#isLost) this.#note(is_connected ? "the connection is there again" : message);
    this.#isLost = !is_connected;
    if (this.#isLost) this.front.tellState("lost", message);
    else this.#look().catch(() => undefined);
  }

  #tellEnd(message: string): void {
    if (this.#isClosed || !this.#number) return;
    this.#isClosed = true;
    void this.close();
    this.#note(`the connection is over: ${message}`);
    this.front.tellState("closed", message);
  }

  async #answer(asked: any, token: rpc.CancellationToken): Promise<{ text: string | null }> {
    const text = await this.front.ask(asked.prompt, asked.password, token);
    if (text === undefined) throw new rpc.ResponseError(-32800, "nobody answers here");
    return { text };
  }
}

/** Where a place in a document's UTF-16 is in characters as Python counts them, and back. */
export const toCharacters = (code: string, units: number): number => [...code.slice(0, units)].length;
export const toUnits = (code: string, characters: number): number => [...code].slice(0, characters).join("").length;

/** The lines of the cell around a line: from its `# %%` to before the next. */
export function findCell(lines: string[], line: number): { first: number; end: number } {
  const begins = (each: string) => /^\s*#\s*%%/.test(each);
  let first = Math.min(line, lines.length - 1);
  while (first > 0 && !begins(lines[first])) first--;
  const next = lines.findIndex((each, index) => index > first && begins(each));
  return { first, end: next === -1 ? lines.length : next };
}
