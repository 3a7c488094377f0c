// What is shown while something is prepared, signed and followed; DOM only, no decisions.

/** Make an element: `el("p.small", "text", child…)`. */
export function el(name, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  made.append(...children.filter((each) => each !== null && each !== undefined));
  return made;
}

function code(text, label) {
  const copy = el("button.copy");
  copy.type = "button";
  copy.dataset.copy = text;
  copy.setAttribute("aria-label", `Copy ${label}`);
  copy.hidden = !(navigator.clipboard && window.isSecureContext);
  const short = text.length > 16 ? `${text.slice(0, 8)}…${text.slice(-6)}` : text;
  const shown = el("code", short);
  shown.title = text;
  return el("span.hash", shown, copy);
}

function fact(name, value) {
  return el("div", el("dt", name), el("dd", value));
}

/** One act on the page: what will be signed, then how it goes. */
export class Flow {
  constructor(place) {
    this.place = place;
    this.steps = new Map();
  }

  clear() {
    this.place.replaceChildren();
    this.steps.clear();
    this.place.hidden = true;
  }

  _begin(title) {
    this.clear();
    this.place.hidden = false;
    this.place.append(el("h3", title));
  }

  /** Show transactions and wait for a yes; resolves to true or false. */
  confirm(title, transactions, words, note = "") {
    this._begin(title);
    for (const each of transactions) this.place.append(described(each, words(each)));
    if (note) this.place.append(el("p.muted.small", note));
    const yes = el("button.button", transactions.length > 1 ? `Sign ${transactions.length} transactions in your wallet` : "Sign in your wallet");
    const no = el("button.quiet", "Cancel");
    yes.type = no.type = "button";
    yes.dataset.sign = "";
    this.place.append(el("div.buttons", yes, no));
    yes.focus({ preventScroll: true });
    this.place.scrollIntoView({ block: "nearest" });
    return new Promise((answer) => {
      yes.addEventListener("click", () => answer(true), { once: true });
      no.addEventListener("click", () => answer(false), { once: true });
    });
  }

  /** Begin the list of steps. */
  begin(title) {
    this._begin(title);
    this.list = el("ol.steps");
    this.place.append(this.list);
  }

  /** Make or change a step: state is `todo`, `asking`, `waiting`, `done` or `failed`. */
  step(name, state, title, detail = "", hash = null) {
    let row = this.steps.get(name);
    if (!row) {
      row = { item: el("li"), title: el("strong"), detail: el("span.muted"), hash: el("span") };
      row.item.append(el("div", row.title, row.hash), row.detail);
      row.item.dataset.step = name;
      this.list.append(row.item);
      this.steps.set(name, row);
    }
    row.item.dataset.state = state;
    row.title.textContent = title;
    row.detail.textContent = detail;
    if (hash) row.hash.replaceChildren(code(hash, "transaction hash"));
  }

  /** The last word. */
  end(text, good) {
    this.place.querySelector(".outcome")?.remove();
    const close = el("button.quiet", "Close");
    close.type = "button";
    close.addEventListener("click", () => this.clear());
    const words = el("p.outcome", text);
    words.classList.add(good ? "good" : "bad");
    words.setAttribute("role", good ? "status" : "alert");
    this.place.hidden = false;
    this.place.querySelector(".buttons")?.remove();
    this.place.append(words, el("div.buttons", close));
  }
}

function described(transaction, words) {
  const raw = el("details", el("summary.small", "Data, as it is signed"), el("code.raw", transaction.data));
  return el(
    "div.tosign",
    el("p.what", words),
    el(
      "dl.facts",
      fact("From", code(transaction.sender, "sender")),
      fact("To contract", code(transaction.to, "contract")),
      fact("Chain", String(transaction.chain_id)),
      fact("Coin sent", transaction.value === "0" ? "none" : `${transaction.value} wei`),
      fact("Gas, about", transaction.gas ? Number(transaction.gas).toLocaleString("en") : "known after the step before"),
      fact("Tried beforehand", transaction.simulated ? "yes, it goes through" : "after the step before"),
    ),
    raw,
  );
}
