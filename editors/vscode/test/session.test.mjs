// The extension's part that speaks the protocol, with real servers and a real kernel, and without VS Code.

import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before, test } from "node:test";
import { COMMAND, Kept, Session, findCell, join, toCharacters, toUnits } from "./front.mjs";

let ada, bob;
const run = ({ session }, code) => session.ask("kernel/execute", { code });
const texts = ({ front }) => front.outputs.filter(({ kind }) => kind === "text").map(({ text }) => text).join("");

before(async () => {
  ada = await join("ada");
  bob = await join("bob");
});

after(async () => {
  await bob?.session.ask("kernel/shutdown").catch(() => undefined);
  await Promise.all([ada?.session.close(), bob?.session.close()]);
});

test("output comes while the code runs, a prompt is asked for, and its answer goes back", async () => {
  let answer;
  ada.front.answer = () => new Promise((resolve) => (answer = resolve));
  await run(ada, "print('first')\nimport getpass\nprint('got', getpass.getpass('word? '))");
  await ada.front.waitFor("text", "first");
  await ada.front.wait("the prompt", () => ada.front.asked.length === 1);
  assert.deepEqual(ada.front.asked, [["word? ", true]]);
  await ada.front.waitForState("busy");
  answer("sesame");
  await ada.front.waitFor("text", "got sesame");
  await ada.front.waitForState("idle", "with bob");
});

test("a prompt that somebody else answers is withdrawn", async () => {
  const withdrawn = new Promise((resolve) => {
    ada.front.answer = (token) => new Promise((end) => token.onCancellationRequested(() => end(resolve())));
  });
  await run(ada, "print('heard', input('well? '))");
  await ada.front.wait("the prompt", () => ada.front.asked.length === 2);
  await bob.session.ask("kernel/answer_input", { text: "it" });
  await withdrawn;
  await ada.front.waitFor("text", "heard it");
  assert.deepEqual(bob.front.asked, []); // another's prompts are not asked here
  await bob.front.waitFor("note", "asks: well?");
});

test("what others run is shown under their names, with their errors", async () => {
  await run(bob, "1 / 0");
  const code = await ada.front.waitFor("code", "1 / 0");
  assert.deepEqual([code.who, code.isOwn], ["bob", false]);
  await ada.front.waitFor("error", "ZeroDivisionError");
});

test("a display that is long comes whole", async () => {
  await run(ada, "class Big:\n    def _repr_html_(self): return '𝄞' * 1_500_000 + 'end'\nBig()");
  const shown = await ada.front.wait("the display", () => ada.front.outputs.find(({ kind }) => kind === "data"));
  assert.equal(shown.mime, "text/html");
  assert.equal(shown.data, "𝄞".repeat(1_500_000) + "end");
});

test("code is interrupted, and a restart is told", async () => {
  await run(ada, "import time\nprint('sleeps', flush=True)\nwhile True: time.sleep(0.01)");
  await ada.front.waitFor("text", "sleeps");
  await ada.session.ask("kernel/interrupt");
  await ada.front.waitFor("note", "interrupted");
  await ada.session.ask("kernel/restart");
  await ada.front.waitFor("note", "generation 2");
  await ada.front.waitForState("idle");
});

test("who comes back is shown what it has missed, and that alone", async () => {
  await run(ada, "print('before')");
  await ada.front.waitFor("text", "before");
  const { id } = ada.session;
  await ada.session.close();
  await bob.front.waitFor("note", "ada has left");
  await run(bob, "print('missed')");
  await bob.front.waitFor("text", "missed");
  await bob.front.waitForState("idle");
  ada = await join("ada", id);
  await ada.front.waitFor("note", "and this is now");
  assert.equal(ada.session.id, id);
  assert.equal(ada.front.outputs[0].text, "while you were away:");
  assert.equal(texts(ada), "missed\n");
});

test("a server that is killed, that stands still, or that is not there holds nobody up", async () => {
  const pids = `${tmpdir()}/rpyc-kernel-server-${process.pid}`;
  const send = ["sh", "-c", `echo $$ >${pids}; exec "$0" "$@"`, ...COMMAND];
  const still = await join("still", undefined, send);
  process.kill(Number(readFileSync(pids)), "SIGSTOP");
  await still.session.close();
  const lost = await join("lost", undefined, send);
  process.kill(Number(readFileSync(pids)), "SIGKILL");
  rmSync(pids);
  await lost.front.waitForState("closed", "the server has ended");
  await lost.session.close();
  const client = { address: "demo" };
  await assert.rejects(new Session(new Kept()).open({ command: ["/no/such/program"], client }), /cannot be started/);
  await assert.rejects(new Session(new Kept()).open({ command: COMMAND, client: { address: "no name!" } }), /name/);
});

test("a hub that is killed is told of, and the kernel's end, too", async () => {
  const { hub_pid } = await ada.session.ask("kernel/status");
  process.kill(hub_pid, "SIGKILL");
  await ada.front.waitForState("lost");
  const starter = await join("starter"); // takes up the worker that is left
  await ada.front.waitFor("note", "is there again");
  const losses = ada.front.outputs.filter(({ kind, text }) => kind === "note" && text.includes("kernel 'demo'"));
  assert.equal(losses.length, 1); // though it was tried in vain meanwhile
  await ada.front.waitForState("idle");
  await starter.session.ask("kernel/shutdown");
  await ada.front.waitForState("closed");
  await starter.session.close();
});

test("a cell is found around a line, and places count as Python does", () => {
  const lines = ["import os", "# %% one", "a", "b", "#%% two", "c"];
  assert.deepEqual(findCell(lines, 0), { first: 0, end: 1 });
  assert.deepEqual(findCell(lines, 3), { first: 1, end: 4 });
  assert.deepEqual(findCell(lines, 4), { first: 4, end: 6 });
  assert.deepEqual(findCell([""], 7), { first: 0, end: 1 });
  assert.equal(toCharacters("'𝄞'.up", 4), 3);
  assert.equal(toUnits("'𝄞'.up", 3), 4);
});
