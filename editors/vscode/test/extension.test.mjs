// The extension's side of VS Code, in a stand-in of its module, with a real server and kernel.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { COMMAND } from "./front.mjs";

const require = createRequire(import.meta.url);
const { vscode, seen, answers, Document, Position } = require("./vscode.cjs");
const { activate, deactivate } = require("../out/extension.js");

const TEXT = `# %% first
numbers = [1, 2, 3]
def add(one, two):
    "Adds two."
    return one + two
print("first", sum(numbers))
# %% second
name = "𝄞"; numbers.app
add(1, numbers)
`;
const document = new Document(TEXT, "/somewhere/cells.py");
const kept = new Map();
const workspaceState = { get: (key) => kept.get(key), update: async (key, value) => kept.set(key, value) };
const command = (name) => seen.commands[`rpyc-kernel.${name}`]();
const at = (line, words) => new Position(line, document.lines[line].indexOf(words) + words.length);

async function until(what, find) {
  for (let tries = 0; tries < 3000; tries++) {
    if (find()) return find();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return assert.fail(`${what} did not come; ${JSON.stringify([seen.posted.slice(-5), seen.errors, seen.bar.text])}`);
}
const posted = (kind, text) => until(text, () => seen.posted.find((each) => each.kind === kind && each.text.includes(text)));
const isIdle = () => until("idle", () => seen.bar.text?.endsWith("idle"));

function place(line, selection = {}) {
  const active = new Position(line, 0);
  vscode.window.activeTextEditor = { document, selection: { active, start: active, end: active, isEmpty: true, ...selection } };
}

before(() => {
  seen.settings = { command: COMMAND, kernel: "stand-in" };
  activate({ subscriptions: [], workspaceState, extensionUri: { fsPath: "/extension" } });
});

after(async () => {
  await deactivate();
});

test("every command that package.json offers is there, and no other", () => {
  const offered = require("../package.json").contributes.commands.map((each) => each.command);
  assert.deepEqual(Object.keys(seen.commands).sort(), offered.sort());
});

test("nothing is asked of a kernel, and none is started, before it is wanted", async () => {
  assert.equal(await seen.providers.completion.provideCompletionItems(document, at(7, "app")), undefined);
  assert.deepEqual(await seen.providers.tree.getChildren(), []);
});

test("a cell runs as a part of its file, and its output stands beside it", async () => {
  place(2);
  await command("runCell");
  assert.deepEqual(seen.errors, []);
  assert.match((await posted("code", "numbers = ")).text, /^# %% first/);
  await posted("text", "first 6");
  await isIdle();
});

test("a selection, a line and a file run", async () => {
  place(5);
  await command("runSelection");
  await until("the line", () => seen.posted.filter(({ text }) => text === "first 6\n").length === 2);
  place(0, { isEmpty: false, start: new Position(5, 15), end: new Position(5, 27) });
  await command("runSelection");
  await until("the value", () => seen.posted.find(({ kind, data }) => kind === "data" && data === "6"));
  await command("runFile");
  await posted("error", "/somewhere/cells.py");
  assert.equal(document.saved, 1);
});

test("completion, hover and signatures are of the live kernel, also behind what counts twice in UTF-16", async () => {
  const never = { isCancellationRequested: false, onCancellationRequested: () => ({ dispose() {} }) };
  const list = await seen.providers.completion.provideCompletionItems(document, at(7, "numbers.app"), never);
  assert.deepEqual(list.items.map((each) => each.label), ["append"]);
  assert.deepEqual(list.items[0].range.start, at(7, "numbers."));
  assert.deepEqual(list.items[0].range.end, at(7, "numbers.app"));
  const hover = await seen.providers.hover.provideHover(document, at(8, "ad"), never);
  assert.match(hover.contents.value, /add\(one, two\)[^]*Adds two\./);
  const help = await seen.providers.signature.provideSignatureHelp(document, at(8, "add(1, "), never);
  assert.equal(help.signatures[0].label, "add(one, two)");
  assert.equal(help.activeParameter, 1);
});

test("variables and what is in them stand in the tree", async () => {
  const [, numbers] = await seen.providers.tree.getChildren();
  const item = seen.providers.tree.getTreeItem(numbers);
  assert.deepEqual([item.label, item.description, item.collapsibleState], ["numbers", "[1, 2, 3]", "Collapsed"]);
  const children = await seen.providers.tree.getChildren(numbers);
  assert.deepEqual(children.map(({ preview }) => preview), ["1", "2", "3"]);
  document.text = "many = list(range(250))\nprint('made')";
  place(0);
  await command("runCell");
  await posted("text", "made");
  const many = (await seen.providers.tree.getChildren()).find(({ name }) => name === "many");
  const shown = await seen.providers.tree.getChildren(many);
  assert.equal(shown.at(-1).name, "… more");
  assert.equal(seen.providers.tree.getTreeItem(shown.at(-1)).collapsibleState, "Collapsed");
  const next = await seen.providers.tree.getChildren(shown.at(-1));
  assert.deepEqual([next[0].preview, next.at(-1).name], ["100", "… more"]);
  const last = await seen.providers.tree.getChildren(next.at(-1));
  assert.deepEqual([last.length, last.at(-1).preview], [50, "249"]);
  document.text = TEXT;
});

test("a prompt is an input box, which Escape leaves to whoever answers by the command", async () => {
  document.text = "import getpass\nprint('got', getpass.getpass('word? '))";
  place(0);
  await command("runCell");
  await until("the box", () => seen.inputs.length === 1);
  assert.equal(seen.inputs[0].password, true);
  assert.equal(seen.inputs[0].prompt, "word? ");
  answers.input = async () => "sesame";
  await command("answer");
  await posted("text", "got sesame");
});

test("running code is interrupted, and a restart asks first", async () => {
  document.text = "import time\nprint('sleeps', flush=True)\nwhile True: time.sleep(0.01)";
  place(0);
  await command("runCell");
  await posted("text", "sleeps");
  await until("busy", () => seen.contexts["rpyc-kernel.busy"]);
  await command("interrupt");
  await posted("note", "interrupted");
  await command("restart");
  answers.warning = async () => "Restart";
  await command("restart");
  await posted("note", "generation 2");
  assert.equal(seen.warnings.length, 2);
  await isIdle();
});

test("a page that is opened again shows what was there, under a policy that runs no foreign script", async () => {
  seen.closePage();
  const before = seen.posted.length;
  await command("show");
  assert.ok(seen.posted.length >= 2 * before - 1);
});

test("who leaves comes back to the same session, and a lost connection is told", async () => {
  const id = kept.get("session of stand-in");
  await command("disconnect");
  await command("show");
  assert.equal(kept.get("session of stand-in"), id);
  answers.warning = async () => undefined;
  document.text = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)";
  place(0);
  command("runCell").catch(() => undefined); // its answer may be lost, too, and is waited for then
  await until("lost", () => seen.bar.text?.endsWith("lost"));
});

test("what fails is said in words", async () => {
  await deactivate();
  seen.settings = { command: ["/no/such/program"], kernel: "x" };
  await command("runCell");
  assert.match(seen.errors.at(-1), /cannot be started/);
});
