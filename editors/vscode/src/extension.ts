// VS Code's side: commands, a page beside the code, a tree of variables, and what is asked at a place in the code.

import { basename } from "path";
import * as vscode from "vscode";
import { findCell, Front, Output, Session, toCharacters, toUnits, Variable } from "./session";

const KINDS: Record<string, keyof typeof vscode.CompletionItemKind> = {
  ...{ module: "Module", class: "Class", function: "Function", property: "Property", instance: "Variable" },
  ...{ keyword: "Keyword", param: "Variable", key: "Field", magic: "Function", path: "File" },
};
const ICONS: Record<string, string> = { busy: "sync~spin", starting: "sync~spin", lost: "debug-disconnect" };
const setting = <T>(name: string) => vscode.workspace.getConfiguration("rpyc-kernel").get<T>(name);

class Kernel implements Front, vscode.TreeDataProvider<Variable> {
  session?: Session;
  #opening?: Promise<Session>;
  #panel?: vscode.WebviewPanel;
  #outputs: Output[] = [];
  #address = "";
  #changed = new vscode.EventEmitter<void>();
  #bar = vscode.window.createStatusBarItem(vscode.StatusBarAlignment.Left);
  onDidChangeTreeData = this.#changed.event;

  constructor(private readonly context: vscode.ExtensionContext) {
    context.subscriptions.push(this.#bar, this.#changed);
  }

  open(): Promise<Session> {
    return (this.#opening ??= this.#open().catch((error) => {
      this.#opening = undefined;
      throw error;
    }));
  }

  async #open(): Promise<Session> {
    const cwd = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
    const address = setting<string>("kernel") || basename(cwd ?? "vscode").replace(/[^A-Za-z0-9_-]/g, "-");
    const key = `session of ${(this.#address = address.split("#")[0])}`; // behind the # stands a secret
    const name = `${process.env.USER ?? "somebody"} (VS Code)`;
    const python = setting<string>("python") || undefined;
    this.show({ kind: "note", execution: null, text: `kernel ${this.#address}` });
    const session = new Session(this);
    const client = { address, name, cwd, python, session: this.context.workspaceState.get<string>(key) };
    await session.open({ command: setting<string[]>("command") ?? ["rpyc-kernel"], client });
    await this.context.workspaceState.update(key, session.id);
    this.#changed.fire();
    return (this.session = session);
  }

  async close(): Promise<void> {
    const session = this.session;
    this.session = this.#opening = undefined;
    await session?.close();
    this.#bar.hide();
    this.#changed.fire();
  }

  show(output: Output): void {
    this.#outputs.push(output);
    if (this.#outputs.length > 5000) this.#outputs.shift(); // kept for a page that is opened again
    this.#panel?.webview.postMessage([output]);
  }

  async ask(prompt: string, password: boolean, withdrawn: vscode.CancellationToken): Promise<string | undefined> {
    return vscode.window.showInputBox({ prompt: prompt || "input", password, ignoreFocusOut: true }, withdrawn);
  }

  tellState(state: string, details: string): void {
    this.#bar.text = `$(${ICONS[state] ?? "terminal"}) ${this.#address}: ${state}`;
    [this.#bar.tooltip, this.#bar.command] = [details, "rpyc-kernel.show"];
    this.#bar.show();
    vscode.commands.executeCommand("setContext", "rpyc-kernel.busy", state === "busy");
    this.#changed.fire();
    if (state !== "closed") return;
    this.session = this.#opening = undefined;
    const chosen = vscode.window.showWarningMessage(`The kernel is gone: ${details}`, "Connect Again");
    chosen.then((word) => word && guard(() => this.open()));
  }

  async run(place: "cell" | "selection" | "file"): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    if (!editor) return;
    const { document, selection } = editor;
    const file = document.uri.scheme === "file" ? document.uri.fsPath : undefined;
    const session = await this.open();
    this.reveal();
    if (place === "file" && file) {
      await document.save();
      return session.ask("kernel/execute", { code: `# run ${file}`, source: { path: file } });
    }
    let range = new vscode.Range(0, 0, document.lineCount, 0);
    if (place === "cell") range = cellAround(document, selection.active.line);
    if (place === "selection") range = selection.isEmpty ? document.lineAt(selection.active.line).range : selection;
    const source = file ? { file, first_line: range.start.line + 1 } : null;
    await session.ask("kernel/execute", { code: document.getText(range), source });
  }

  reveal(): void {
    if (this.#panel) return this.#panel.reveal(undefined, true);
    const media = vscode.Uri.joinPath(this.context.extensionUri, "media");
    const where = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    const options = { enableScripts: true, retainContextWhenHidden: true, localResourceRoots: [media] };
    const panel = (this.#panel = vscode.window.createWebviewPanel("rpyc-kernel", "Kernel", where, options));
    panel.onDidDispose(() => (this.#panel = undefined));
    const link = (name: string) => panel.webview.asWebviewUri(vscode.Uri.joinPath(media, name));
    const source = panel.webview.cspSource;
    const policy = `default-src 'none'; img-src data:; style-src ${source} 'unsafe-inline'; script-src ${source}`;
    panel.webview.html = `<!DOCTYPE html><html><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}"><link rel="stylesheet" href="${link("output.css")}">
</head><body><main id="output"></main><script src="${link("output.js")}"></script></body></html>`;
    panel.webview.postMessage(this.#outputs);
  }

  getTreeItem(variable: Variable): vscode.TreeItem {
    const { Collapsed, None } = vscode.TreeItemCollapsibleState;
    const item = new vscode.TreeItem(variable.name, variable.has_children ? Collapsed : None);
    return Object.assign(item, { description: variable.preview, tooltip: variable.type });
  }

  async getChildren({ path, start = 0 }: { path?: string; start?: number } = {}): Promise<Variable[]> {
    const method = path ? "kernel/children" : "kernel/variables";
    const found = (await this.session?.ask(method, { path, start, count: 100 })) ?? [];
    const items: Variable[] = found.items ?? found;
    const next = start + items.length;
    const more = { name: "… more", path: path ?? "", start: next, type: "", preview: "", has_children: true };
    return items.length === 100 && next !== found.count ? [...items, more] : items;
  }
}

function cellAround(document: vscode.TextDocument, line: number): vscode.Range {
  const { first, end } = findCell(document.getText().split(/\r?\n/), line);
  return document.validateRange(new vscode.Range(first, 0, end, 0));
}

const guard = async (work: () => unknown) =>
  (async () => work())().catch((error) => vscode.window.showErrorMessage(error.message));

let kernel: Kernel;
export function activate(context: vscode.ExtensionContext): void {
  kernel = new Kernel(context);
  const ask = async (method: string, params = {}) => (await kernel.open()).ask(method, params);
  const commands: Record<string, () => unknown> = {
    runCell: () => kernel.run("cell"),
    runSelection: () => kernel.run("selection"),
    runFile: () => kernel.run("file"),
    interrupt: () => ask("kernel/interrupt"),
    restart: async () => {
      const sure = await vscode.window.showWarningMessage("All variables are lost.", { modal: true }, "Restart");
      return sure && ask("kernel/restart");
    },
    answer: async () => {
      const text = await vscode.window.showInputBox({ prompt: "The answer to what the code asks" });
      return text !== undefined && ask("kernel/answer_input", { text });
    },
    disconnect: () => kernel.close(),
    show: () => kernel.open().then(() => kernel.reveal()),
  };
  for (const [name, work] of Object.entries(commands)) {
    context.subscriptions.push(vscode.commands.registerCommand(`rpyc-kernel.${name}`, () => guard(work)));
  }
  context.subscriptions.push(
    vscode.window.registerTreeDataProvider("rpyc-kernel.variables", kernel),
    vscode.languages.registerCompletionItemProvider("python", { provideCompletionItems: complete }, ".", "["),
    vscode.languages.registerHoverProvider("python", { provideHover: hover }),
    vscode.languages.registerSignatureHelpProvider("python", { provideSignatureHelp: sign }, "(", ","),
  );
}

export const deactivate = (): Promise<void> => kernel.close();

/** What is made of a kernel's word on a place in a document; nothing where none is connected, or it has none. */
function provide<T>(method: string, make: (answer: any, place: (at: number) => vscode.Position) => T | undefined) {
  const more = method === "kernel/inspect" ? { source: false } : {};
  return async (document: vscode.TextDocument, position: vscode.Position, token: vscode.CancellationToken) => {
    const { start, end } = cellAround(document, position.line);
    const [code, offset] = [document.getText(new vscode.Range(start, end)), document.offsetAt(start)];
    const cursor = toCharacters(code, document.offsetAt(position) - offset);
    const answer = await kernel.session?.ask(method, { code, cursor, ...more }, token).catch(() => undefined);
    return answer ? make(answer, (at) => document.positionAt(offset + toUnits(code, at))) : undefined;
  };
}

const complete = provide("kernel/complete", ({ items, start, end, is_whole }, place) => {
  const range = new vscode.Range(place(start), place(end));
  const made = items.map(({ text, kind, origin }: Record<string, string>) => {
    const item = new vscode.CompletionItem(text, vscode.CompletionItemKind[KINDS[kind] ?? "Value"]);
    return Object.assign(item, { range, detail: origin });
  });
  return new vscode.CompletionList(made, !is_whole);
});

const hover = provide("kernel/inspect", ({ found, name, type, preview, signature, doc }) => {
  const head = signature ? name + signature : `${name}: ${type} = ${preview}`;
  const words = new vscode.MarkdownString().appendCodeblock(head, "python").appendText(doc);
  return found ? new vscode.Hover(words) : undefined;
});

const sign = provide("kernel/signatures", (signatures) => {
  const help = new vscode.SignatureHelp();
  help.signatures = signatures.map(({ name, text, doc, parameters }: any) => {
    const named = parameters.map((each: any) => new vscode.ParameterInformation(each.text));
    return Object.assign(new vscode.SignatureInformation(name + text, doc), { parameters: named });
  });
  help.activeParameter = signatures[0]?.active ?? 0;
  return signatures.length ? help : undefined;
});
