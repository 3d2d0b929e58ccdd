// A front that keeps what its session tells it, and waits for what is to come.

import { createRequire } from "node:module";

export const { Session, findCell, toCharacters, toUnits } = createRequire(import.meta.url)("../out/session.js");
export const COMMAND = JSON.parse(process.env.RPYC_KERNEL_COMMAND ?? '["rpyc-kernel"]');

export class Kept {
  outputs = [];
  states = [];
  asked = [];
  answer = async () => undefined;
  #looking = new Set();

  show(output) {
    this.outputs.push(output);
    this.#look();
  }

  tellState(state, details) {
    this.states.push([state, details]);
    this.#look();
  }

  ask(prompt, isPassword, withdrawn) {
    this.asked.push([prompt, isPassword]);
    this.#look();
    return this.answer(withdrawn);
  }

  #look() {
    for (const look of [...this.#looking]) look();
  }

  wait(what, find) {
    return new Promise((resolve, reject) => {
      const seen = () => JSON.stringify([this.outputs.slice(-10), this.states.slice(-3), this.asked]).slice(0, 3000);
      const timer = setTimeout(() => reject(new Error(`${what} did not come in 30 s; ${seen()}`)), 30_000);
      const look = () => {
        const found = find();
        if (!found) return;
        this.#looking.delete(look);
        clearTimeout(timer);
        resolve(found);
      };
      this.#looking.add(look);
      look();
    });
  }

  waitFor(kind, text) {
    return this.wait(`${kind} ${text}`, () => this.outputs.find((each) => each.kind === kind && each.text?.includes(text)));
  }

  waitForState(state, words = "") {
    return this.wait(state, () => this.states.at(-1)?.[0] === state && this.states.at(-1)[1].includes(words));
  }
}

/** A session of its own in the kernel 'demo'. */
export async function join(name, session = undefined, command = COMMAND) {
  const front = new Kept();
  const made = new Session(front);
  await made.open({ command, client: { address: "demo", name, session, engine: "plain" } });
  return { session: made, front };
}
