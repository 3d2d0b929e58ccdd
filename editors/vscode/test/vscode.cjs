// A stand-in for VS Code's module: as much of it as the extension uses, and what a person would see of it.

const Module = require("node:module");

class Position {
  constructor(line, character) {
    Object.assign(this, { line, character });
  }
}
class Range {
  constructor(...at) {
    [this.start, this.end] = at.length === 2 ? at : [new Position(at[0], at[1]), new Position(at[2], at[3])];
  }
}
class Emitter {
  #heard = [];
  event = (hear) => this.#heard.push(hear);
  fire = () => this.#heard.forEach((hear) => hear());
  dispose() {}
}
class Fields {
  constructor(names, values) {
    names.forEach((name, index) => (this[name] = values[index]));
  }
}
const made = (...names) =>
  class extends Fields {
    constructor(...values) {
      super(names, values);
    }
  };

class MarkdownString {
  value = "";
  appendCodeblock(text) {
    this.value += `\`\`\`\n${text}\n\`\`\`\n`;
    return this;
  }
  appendText(text) {
    this.value += text;
    return this;
  }
}

/** A document of Python. */
class Document {
  languageId = "python";
  constructor(text, fsPath) {
    this.text = text;
    this.uri = { scheme: "file", fsPath };
    this.saved = 0;
  }
  get lines() {
    return this.text.split("\n");
  }
  get lineCount() {
    return this.lines.length;
  }
  offsetAt({ line, character }) {
    return this.lines.slice(0, line).reduce((sum, each) => sum + each.length + 1, 0) + character;
  }
  positionAt(offset) {
    const before = this.text.slice(0, offset).split("\n");
    return new Position(before.length - 1, before.at(-1).length);
  }
  validateRange({ start, end }) {
    const last = this.lines.length - 1;
    return new Range(start, end.line > last ? new Position(last, this.lines[last].length) : end);
  }
  getText(range) {
    return range ? this.text.slice(this.offsetAt(range.start), this.offsetAt(range.end)) : this.text;
  }
  lineAt(line) {
    return { range: new Range(line, 0, line, this.lines[line].length) };
  }
  async save() {
    this.saved += 1;
  }
}

const seen = { commands: {}, providers: {}, posted: [], errors: [], warnings: [], inputs: [], contexts: {}, html: "" };
const answers = { input: async () => undefined, warning: async () => undefined };
const register = (kind) => (_, provider) => ((seen.providers[kind] = provider), { dispose() {} });
const names = (...each) => Object.fromEntries(each.map((name) => [name, name]));

const vscode = {
  Position,
  Range,
  MarkdownString,
  EventEmitter: Emitter,
  TreeItem: made("label", "collapsibleState"),
  CompletionItem: made("label", "kind"),
  CompletionList: made("items", "isIncomplete"),
  Hover: made("contents"),
  SignatureHelp: made(),
  SignatureInformation: made("label", "documentation"),
  ParameterInformation: made("label"),
  TreeItemCollapsibleState: names("Collapsed", "None"),
  CompletionItemKind: names("Function", "Variable", "Value", "Module", "Class", "Property", "Keyword", "Field", "File"),
  StatusBarAlignment: names("Left"),
  ViewColumn: names("Beside"),
  Uri: { joinPath: (uri, ...parts) => ({ fsPath: [uri.fsPath, ...parts].join("/") }) },
  workspace: { workspaceFolders: undefined, getConfiguration: () => ({ get: (name) => seen.settings[name] }) },
  commands: {
    registerCommand: (name, work) => ((seen.commands[name] = work), { dispose() {} }),
    executeCommand: (_, name, value) => (seen.contexts[name] = value),
  },
  languages: {
    registerCompletionItemProvider: register("completion"),
    registerHoverProvider: register("hover"),
    registerSignatureHelpProvider: register("signature"),
  },
  window: {
    activeTextEditor: undefined,
    createStatusBarItem: () => (seen.bar = { show() {}, hide() {}, dispose() {} }),
    registerTreeDataProvider: register("tree"),
    createWebviewPanel: () => {
      const webview = {
        cspSource: "'self'",
        asWebviewUri: (uri) => uri.fsPath,
        postMessage: (outputs) => seen.posted.push(...outputs),
      };
      return { webview, onDidDispose: (closed) => (seen.closePage = closed), reveal() {} };
    },
    showErrorMessage: async (words) => void seen.errors.push(words),
    showWarningMessage: async (words) => (seen.warnings.push(words), answers.warning()),
    showInputBox: async (options, token) => (seen.inputs.push(options), answers.input(token)),
  },
};

const load = Module._load;
Module._load = (name, ...rest) => (name === "vscode" ? vscode : load(name, ...rest));
module.exports = { vscode, seen, answers, Document, Position, Range };
