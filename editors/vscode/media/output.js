// The page beside the code: each message is one output of a kernel. Text is never taken for markup, and CSP lets no
// script of what a kernel shows run.

const page = document.getElementById("output");
const displays = new Map(); // by their id
const plain = (text) => text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "");

function add(parent, tag, name, text = "") {
  const made = parent.appendChild(document.createElement(tag));
  made.className = name;
  made.textContent = text;
  return made;
}

function section(execution) {
  const found = document.getElementById(`e${execution}`);
  if (found || execution === null) return found ?? page;
  const made = add(page, "section", "");
  made.id = `e${execution}`;
  return made;
}

function write(parent, kind, text) {
  const last = parent.lastElementChild;
  const block = last?.className === kind ? last : add(parent, "pre", kind);
  for (const piece of plain(text).replaceAll("\r\n", "\n").split(/(?=\r)/)) {
    const isOver = piece.startsWith("\r"); // as progress bars write over their line
    const before = isOver ? block.textContent.replace(/[^\n]*$/, "") : block.textContent;
    block.textContent = before + (isOver ? piece.slice(1) : piece);
  }
}

function draw(place, mime, data) {
  place.replaceChildren();
  if (mime.startsWith("image/")) {
    const coded = mime === "image/svg+xml" ? btoa(String.fromCharCode(...new TextEncoder().encode(data))) : data.trim();
    const picture = add(place, "img", "");
    picture.onload = () => window.scrollBy(0, picture.height);
    picture.src = `data:${mime};base64,${coded}`;
  } else if (mime === "text/html") place.innerHTML = data;
  else add(place, "pre", "value", plain(typeof data === "string" ? data : JSON.stringify(data)));
}

function take(output) {
  const parent = section(output.execution ?? null);
  if (output.kind === "code") {
    add(parent, "header", output.isOwn ? "own" : "other", `[${output.execution}] ${output.who}`);
    add(parent, "pre", "code", output.text.trimEnd());
  } else if (output.kind === "clear") {
    for (const each of [...parent.children]) if (!each.matches("header, .code")) each.remove();
  } else if (output.kind === "data") {
    const place = (output.isUpdate && displays.get(output.id)) || add(parent, "div", "data");
    if (output.id) displays.set(output.id, place);
    draw(place, output.mime, output.data);
  } else if (output.kind === "note") add(parent, "p", "note", output.text);
  else write(parent, output.kind, output.text);
}

window.addEventListener("message", ({ data }) => {
  const isAtEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 40;
  data.forEach(take);
  if (isAtEnd) window.scrollTo(0, document.body.scrollHeight);
});
