// The pool page's own part: connect a wallet, deposit, withdraw, take rewards.

import { call, newKey, signedIn, tokenOf } from "./api.js";
import { Flow } from "./flow.js";
import { follow, forget, keep, underWay } from "./follow.js";
import { Plain, Wallet, plainly } from "./wallet.js";

const REFRESH_MS = 3000;

class Panel {
  constructor(root) {
    this.root = root;
    this.pool = root.dataset.pool;
    this.chainId = Number(root.dataset.chain);
    this.confirmations = Number(root.dataset.confirmations);
    this.asset = root.dataset.asset;
    this.vault = root.dataset.kind === "vault";
    this.wallet = new Wallet();
    this.flow = new Flow(root.querySelector("[data-flow]"));
    this.busy = false;
  }

  async start() {
    this.root.querySelector("[data-needs-scripts]").remove();
    this.wallet.addEventListener("change", () => this.show());
    this.root.addEventListener("click", (event) => this.clicked(event));
    this.root.addEventListener("submit", (event) => {
      event.preventDefault();
      this.guarded(() => this.submitted(event.target, event.submitter));
    });
    document.addEventListener("htmx:after:swap", () => this.heed());
    this.heed();
    this.show();
    if (await this.wallet.resume().catch(() => false)) await this.goOn();
    this.show();
    setInterval(() => { if (!document.hidden) this.refresh(); }, REFRESH_MS);
  }

  part(name) {
    return this.root.querySelector(`[data-${name}]`);
  }

  // ---- what is shown -----------------------------------------------------

  show() {
    const on = Boolean(this.wallet.account);
    this.part("off").hidden = on;
    this.part("on").hidden = !on;
    if (!on) {
      this.offer();
      this.part("position").replaceChildren();
      return;
    }
    const account = this.part("account");
    account.textContent = `${this.wallet.account.slice(0, 8)}…${this.wallet.account.slice(-6)}`;
    account.title = this.wallet.account;
    account.href = `/staking/wallets/${this.wallet.account}`;
    const wrong = this.wallet.chainId !== this.chainId;
    this.part("wrong-chain").hidden = !wrong;
    this.part("on-chain").textContent = String(this.wallet.chainId);
    this.part("acts").hidden = wrong;
    this.refresh();
  }

  offer() {
    const place = this.part("choices");
    const choices = this.wallet.choices();
    this.part("no-wallet").hidden = choices.length > 0;
    place.replaceChildren(...choices.map((each) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button";
      button.dataset.connect = each.rdns;
      button.textContent = choices.length > 1 ? `Connect ${each.name}` : "Connect wallet";
      return button;
    }));
  }

  async refresh() {
    const account = this.wallet.account;
    if (!account) return;
    const url = `/staking/${encodeURIComponent(this.pool)}/wallets/${account}`;
    const token = tokenOf(this.wallet);
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(url, { headers, cache: "no-store", credentials: "omit" }).catch(() => null);
    if (!answer?.ok || account !== this.wallet.account) return;
    // Our own server's, escaped by its templates.
    await htmx.swap({ text: await answer.text(), target: this.part("position"), sourceElement: this.root, swap: "innerMorph" });
    document.dispatchEvent(new Event("htmx:after:swap"));
  }

  say(text) {
    this.part("said").textContent = text;
    this.part("said").hidden = !text;
  }

  // What is held now, as the live part of the page says.
  heed() {
    const now = document.getElementById("pool-state").dataset;
    const closed = now.state !== "active" || now.held.split(" ").includes("deposit");
    const form = this.root.querySelector('form[data-act="deposit"]');
    form.querySelector("button").disabled = closed;
    form.querySelector("[data-held]").hidden = !closed;
  }

  // ---- what is clicked ---------------------------------------------------

  clicked(event) {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.connect) this.guarded(() => this.wallet.connect(button.dataset.connect));
    else if ("disconnect" in button.dataset) this.wallet.disconnect();
    else if ("switch" in button.dataset) this.guarded(() => this.wallet.switchTo(this.chainId));
    else if ("signIn" in button.dataset) this.guarded(() => this.signInAlone());
    else if (button.dataset.tab) this.choose(button);
    else if (button.dataset.fill) this.fill(button);
  }

  choose(button) {
    for (const each of this.root.querySelectorAll("[data-tab]")) {
      const mine = each === button;
      each.setAttribute("aria-pressed", String(mine));
      this.root.querySelector(`form[data-act="${each.dataset.tab}"]`).hidden = !mine;
    }
    if (!this.busy) this.flow.clear();
  }

  fill(button) {
    const figure = this.part("position").querySelector(`[data-figure="${button.dataset.fill}"]`);
    if (figure) button.form.elements.amount.value = figure.dataset.amount;
  }

  // One act at a time; whatever goes wrong is said in words.
  async guarded(act) {
    if (this.busy) return;
    this.busy = true;
    this.say("");
    this.root.setAttribute("aria-busy", "true");
    try {
      await act();
    } catch (error) {
      if (this.wallet.account) this.flow.end(plainly(error), false);
      else this.say(plainly(error));
    } finally {
      this.busy = false;
      this.root.removeAttribute("aria-busy");
      this.refresh();
    }
  }

  async submitted(form, submitter) {
    this.flow.clear();
    const act = submitter?.value || form.dataset.act;
    const amount = amountOf(form);
    const shown = amount && `${amount} ${form.dataset.unit}`;
    if (act === "deposit") await this.onChain("Deposit", shown, "deposit", { amount });
    else if (act === "leave") await this.onChain("Withdraw on chain", shown, "withdraw", this.vault ? { amount } : { amount, myself: true });
    else if (act === "claim-on-chain") await this.onChain("Take rewards", "everything earned up to the last posted epoch", "rewards/claim", {});
    else if (act === "withdraw") await this.request("withdraw", "Withdrawal", { amount });
    else if (act === "claim") await this.request("rewards/claim", "Rewards", {});
    form.reset();
  }

  path(act) {
    return `/api/v1/pools/${encodeURIComponent(this.pool)}/${act}`;
  }

  // ---- signing in --------------------------------------------------------

  /** The session's token; where there is none the wallet is asked, and a step says so. */
  async signIn(title) {
    const token = await signedIn(this.wallet, this.chainId, () => {
      this.flow.begin(title);
      this.flow.step("sign-in", "asking", "Sign in with your wallet", "It signs a text that names this site. Nothing is sent to a chain and no gas is spent.");
    });
    if (this.flow.steps.has("sign-in")) this.flow.step("sign-in", "done", "Signed in");
    return token;
  }

  async signInAlone() {
    await this.signIn("Sign in");
    this.flow.clear();
  }

  // ---- by transactions of the wallet -------------------------------------

  async onChain(title, shown, act, body) {
    await this.onOurChain();
    const token = await this.signIn(title);
    const prepare = async () => (await call("POST", this.path(act), {
      body: { wallet: this.wallet.account, ...body }, token, once: newKey(),
    })).transactions;
    let transactions = await prepare();
    const note = transactions.length > 1
      ? "The second is tried by the pool as soon as the first is mined, and signed only then."
      : "";
    const yes = await this.flow.confirm(title, transactions, (each) => words(each, shown), note);
    if (!yes) { this.flow.clear(); return; }
    this.flow.begin(title);
    while (transactions.length > 1) {
      await this.signAndFollow(transactions[0], 1, shown);
      // Prepared anew, so that what is signed next was tried on the state as it is now.
      transactions = await prepare();
    }
    await this.signAndFollow(transactions[0], this.confirmations, shown);
    this.flow.end(`Confirmed by ${blocks(this.confirmations)}. Your position follows within a few seconds.`, true);
  }

  async onOurChain() {
    if (this.wallet.chainId !== this.chainId) await this.wallet.switchTo(this.chainId);
  }

  async signAndFollow(transaction, confirmations, shown) {
    const said = words(transaction, shown);
    this.flow.step(transaction.what, "asking", said, "Your wallet asks you to sign.");
    let hash;
    try {
      hash = await this.wallet.send(transaction);
    } catch (error) {
      this.flow.step(transaction.what, "failed", said, "Not sent.");
      throw error;
    }
    const entry = {
      pool: this.pool, hash, what: transaction.what, words: said, confirmations,
      from: transaction.sender, to: transaction.to, data: transaction.data,
    };
    keep(entry);
    await this.followed(entry);
  }

  async followed(entry) {
    this.flow.step(entry.what, "waiting", entry.words, "Sent; waiting for a block.", entry.hash);
    try {
      await follow(this.wallet, entry, entry.confirmations, ({ state, block, depth }) => {
        const detail = state === "waiting"
          ? "Sent; waiting for a block."
          : `In block ${block}, ${Math.min(depth, entry.confirmations)} of ${entry.confirmations} confirmations.`;
        this.flow.step(entry.what, state === "confirmed" ? "done" : "waiting", entry.words, detail, entry.hash);
      });
    } catch (error) {
      this.flow.step(entry.what, "failed", entry.words, "", entry.hash);
      throw error;
    } finally {
      forget(entry.hash);
    }
  }

  // After a reload: what was sent and not yet confirmed is followed again.
  async goOn() {
    const entries = underWay(this.pool, this.wallet.account);
    if (!entries.length) return;
    await this.guarded(async () => {
      this.flow.begin("Still under way");
      for (const entry of entries) await this.followed(entry);
      this.flow.end("Confirmed.", true);
    });
  }

  // ---- by request, with a session ----------------------------------------

  async request(act, title, body) {
    const token = await this.signIn(title);
    if (!this.flow.steps.size) this.flow.begin(title);
    this.flow.step("ask", "waiting", "Ask the pool");
    try {
      await call("POST", this.path(act), {
        body: { wallet: this.wallet.account, ...body }, token, once: newKey(),
      });
    } catch (error) {
      this.flow.step("ask", "failed", "Ask the pool", "Refused.");
      throw error;
    }
    this.flow.step("ask", "done", "The pool has noted it");
    this.flow.end("The pool pays it with its next batch and bears the gas. You need not keep this page open.", true);
  }
}

function words(transaction, shown) {
  return {
    approve: `Allow the pool's contract to take ${shown}, no more`,
    deposit: `Deposit ${shown}`,
    withdraw: `Take ${shown} out of the pool`,
    redeem: `Redeem ${shown}`,
    request_redeem: `Put ${shown} into the vault's queue, since it is not liquid enough now`,
    claim: `Take ${shown}`,
  }[transaction.what] ?? `${transaction.what} ${shown}`;
}

function amountOf(form) {
  const field = form.elements.amount;
  if (!field) return undefined;
  const text = field.value.trim().replace(",", ".");
  if (!/^\d{1,40}(\.\d{1,36})?$/.test(text) || /^0*\.?0*$/.test(text)) throw new Plain("Give an amount above zero, such as 12.5.");
  return text;
}

function blocks(count) {
  return count === 1 ? "1 block" : `${count} blocks`;
}

const root = document.getElementById("mine");
if (root) new Panel(root).start();
