// The pool page's own part: connect a wallet, deposit, withdraw, take rewards.

import { call, newKey, signedIn } from "./api.js";
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
    const answer = await fetch(url, { cache: "no-store", credentials: "omit" }).catch(() => null);
    if (!answer?.ok || account !== this.wallet.account) return;
    const html = await answer.text();
    if (html === this.shownHtml && this.part("position").childElementCount) return;
    this.shownHtml = html;
    this.part("position").innerHTML = html; // our own server's, escaped by its templates
    document.dispatchEvent(new Event("htmx:after:swap"));
  }

  // ---- what is clicked ---------------------------------------------------

  clicked(event) {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.connect) this.guarded(() => this.wallet.connect(button.dataset.connect));
    else if ("disconnect" in button.dataset) this.wallet.disconnect();
    else if ("switch" in button.dataset) this.guarded(() => this.wallet.switchTo(this.chainId));
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
    this.root.setAttribute("aria-busy", "true");
    try {
      await act();
    } catch (error) {
      this.flow.end(plainly(error), false);
    } finally {
      this.busy = false;
      this.root.removeAttribute("aria-busy");
      this.refresh();
    }
  }

  async submitted(form, submitter) {
    const act = submitter?.value || form.dataset.act;
    const amount = amountOf(form);
    if (act === "deposit") await this.onChain("Deposit", () => this.prepare("deposit", { amount }));
    else if (act === "leave") await this.onChain("Withdraw on chain", () => this.prepare("withdraw/prepare", { amount }));
    else if (act === "claim-on-chain") await this.onChain("Take rewards on chain", () => this.prepare("rewards/claim/prepare", {}));
    else if (act === "withdraw") await this.request("withdraw", "Withdrawal", { amount });
    else if (act === "claim") await this.request("rewards/claim", "Rewards", {});
    form.reset();
  }

  prepare(act, body) {
    return call("POST", this.path(act), { body: { wallet: this.wallet.account, ...body } });
  }

  path(act) {
    return `/api/v1/staking/pools/${encodeURIComponent(this.pool)}/${act}`;
  }

  // ---- by transactions of the wallet -------------------------------------

  async onChain(title, prepare) {
    await this.onOurChain();
    let prepared = await prepare();
    const note = prepared.transactions.length > 1
      ? "The second is tried by the pool as soon as the first is mined, and only then signed."
      : "";
    const yes = await this.flow.confirm(title, prepared.transactions, (each) => this.words(each, prepared), note);
    if (!yes) { this.flow.clear(); return; }
    this.flow.begin(title);
    let [transaction, ...rest] = prepared.transactions;
    while (rest.length) {
      await this.signAndFollow(transaction, 1, prepared);
      // Prepared anew, so that what is signed next has been tried on the state as it is now.
      prepared = await prepare();
      [transaction, ...rest] = prepared.transactions;
    }
    await this.signAndFollow(transaction, this.confirmations, prepared);
    this.flow.end(`Confirmed by ${blocks(this.confirmations)}. Your position follows within a few seconds.`, true);
  }

  async onOurChain() {
    if (this.wallet.chainId !== this.chainId) await this.wallet.switchTo(this.chainId);
  }

  async signAndFollow(transaction, confirmations, prepared) {
    const words = this.words(transaction, prepared);
    this.flow.step(transaction.what, "asking", words, "Your wallet asks you to sign.");
    let hash;
    try {
      hash = await this.wallet.send(transaction);
    } catch (error) {
      this.flow.step(transaction.what, "failed", words, "Not sent.");
      throw error;
    }
    const entry = {
      pool: this.pool, hash, what: transaction.what, words, confirmations,
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

  words(transaction, prepared) {
    const amount = prepared.amount ? `${prepared.amount.amount.replace(/\.?0+$/, "")} ${prepared.amount.asset}` : "";
    return {
      approve: `Allow the pool's contract to take ${amount}, no more`,
      deposit: `Deposit ${amount}`,
      withdraw: `Take ${amount} out of the pool`,
      redeem: `Redeem ${amount}`,
      request_redeem: `Put ${amount} into the vault's queue, since it is not liquid enough now`,
      claim: `Take ${amount} of rewards`,
      claim_queued: `Collect ${amount} that waited in the queue`,
    }[transaction.what] ?? transaction.what;
  }

  // ---- by request, with a session ----------------------------------------

  async request(act, title, body) {
    this.flow.begin(title);
    const token = await signedIn(this.wallet, this.chainId, () => {
      this.flow.step("sign-in", "asking", "Sign in with your wallet", "It signs a text; nothing is sent to a chain, no gas is spent.");
    });
    if (this.flow.steps.has("sign-in")) this.flow.step("sign-in", "done", "Signed in");
    this.flow.step("ask", "waiting", "Ask the pool", "");
    const answer = await call("POST", this.path(act), {
      body: { ...body, wallet: this.wallet.account }, token, once: newKey(),
    }).catch((error) => {
      this.flow.step("ask", "failed", "Ask the pool");
      throw error;
    });
    this.flow.step("ask", "done", "Asked", answer.reason || "");
    this.flow.end("The pool pays it with its next batch and bears the gas. You need not keep this page open.", true);
  }
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
