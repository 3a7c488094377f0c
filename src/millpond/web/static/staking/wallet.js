// A browser wallet by EIP-1193, found by EIP-6963 or at window.ethereum.
// Everything that is signed comes ready from the pool's API; nothing is encoded here.

const CHOSEN = "millpond-wallet"; // how the wallet that was connected calls itself (rdns)
const DISCOVERY_MS = 400;

// What a wallet's error codes mean (EIP-1193, EIP-1474, and what wallets do in practice).
const WORDS = new Map([
  [4001, "You rejected the request in your wallet. Nothing was sent."],
  [4100, "Your wallet has not allowed this page to do that. Connect it again."],
  [4200, "Your wallet cannot do that."],
  [4900, "Your wallet is disconnected from all chains."],
  [4901, "Your wallet is disconnected from this chain."],
  [4902, "Your wallet does not know this chain. Add it there first, then try again."],
  [-32002, "Your wallet has a question open already. Answer it there first."],
]);

/** An error with a sentence for people. */
export class Plain extends Error {
  constructor(message, code = 0) {
    super(message);
    this.code = code;
  }
}

/** The reason of a revert in whatever a provider wraps it into; empty if there is none. */
export function revertReason(error) {
  for (let at = error, depth = 0; at && depth < 5; depth += 1) {
    const data = typeof at === "string" ? at : typeof at.data === "string" ? at.data : "";
    if (data.startsWith("0x08c379a0")) return errorString(data);
    const found = /execution reverted:? *"?([^"]*)/i.exec(at.message ?? "");
    if (found && found[1]) return found[1].trim();
    at = at.data ?? at.error ?? at.cause;
  }
  return "";
}

// Error(string) as Solidity and Vyper give it: selector, offset, length, text.
function errorString(data) {
  const length = Math.min(parseInt(data.slice(74, 138), 16) || 0, 200);
  let text = "";
  for (let i = 0; i < length; i += 1) {
    text += String.fromCharCode(parseInt(data.slice(138 + 2 * i, 140 + 2 * i), 16) || 32);
  }
  return text.trim();
}

/** Anything that was thrown, as a sentence. */
export function plainly(error) {
  if (error instanceof Plain) return error.message;
  const code = error?.code ?? error?.data?.originalError?.code;
  if (WORDS.has(code)) return WORDS.get(code);
  const reason = revertReason(error);
  if (reason) return `The contract refuses it: ${reason}.`;
  const message = String(error?.message ?? "").slice(0, 200);
  if (/insufficient funds/i.test(message)) return "Your wallet has too little of the chain's own coin to pay the gas.";
  if (/user (rejected|denied)/i.test(message)) return WORDS.get(4001);
  return message ? `Your wallet says: ${message}` : "Your wallet did not answer.";
}

function remember(rdns) {
  try {
    if (rdns) localStorage.setItem(CHOSEN, rdns);
    else localStorage.removeItem(CHOSEN);
  } catch { /* for this page only */ }
}
function remembered() {
  try { return localStorage.getItem(CHOSEN); } catch { return null; }
}

/** One wallet of this browser, connected or not. Tells `change` when account or chain do. */
export class Wallet extends EventTarget {
  constructor() {
    super();
    this.found = new Map(); // rdns -> {info, provider}
    this.provider = null;
    this.rdns = null;
    this.account = null;
    this.chainId = null;
    this._left = null;
    window.addEventListener("eip6963:announceProvider", (event) => {
      const { info, provider } = event.detail ?? {};
      if (!info?.rdns || typeof provider?.request !== "function") return;
      if (this.found.size < 30 && !this.found.has(info.rdns)) this.found.set(info.rdns, { info, provider });
    });
    window.dispatchEvent(new Event("eip6963:requestProvider"));
  }

  /** The wallets there are: [{rdns, name}]. */
  choices() {
    const list = [...this.found.values()].map(({ info }) => ({ rdns: info.rdns, name: String(info.name).slice(0, 40) }));
    if (!list.length && window.ethereum) list.push({ rdns: "window.ethereum", name: "Browser wallet" });
    return list;
  }

  /** Take up a connection that was allowed earlier, without asking anything. */
  async resume() {
    await new Promise((done) => setTimeout(done, DISCOVERY_MS));
    const rdns = remembered();
    if (!rdns || !this.choices().some((each) => each.rdns === rdns)) return false;
    const provider = this._provider(rdns);
    const accounts = await provider.request({ method: "eth_accounts" }).catch(() => []);
    if (!accounts.length) return false;
    await this._take(rdns, provider, accounts);
    return true;
  }

  /** Ask the wallet for its accounts. */
  async connect(rdns) {
    const provider = this._provider(rdns);
    if (!provider) throw new Plain("No wallet was found in this browser. Install one, or open this page in your wallet's own browser.");
    const accounts = await provider.request({ method: "eth_requestAccounts" });
    if (!accounts?.length) throw new Plain("Your wallet offers no account.");
    await this._take(rdns, provider, accounts);
  }

  /** Forget the wallet on this page; the wallet itself keeps its permission. */
  disconnect() {
    this._left?.();
    this.provider = this.account = this.chainId = this.rdns = this._left = null;
    remember(null);
    this._tell();
  }

  request(method, params = []) {
    if (!this.provider) throw new Plain("Connect your wallet first.");
    return this.provider.request({ method, params });
  }

  /** Ask the wallet to go to a chain; it throws if it is not there afterwards. */
  async switchTo(chainId) {
    await this.request("wallet_switchEthereumChain", [{ chainId: hex(chainId) }]);
    await this._readChain();
    if (this.chainId !== chainId) throw new Plain(`Your wallet is still on chain ${this.chainId}.`);
  }

  /** Have a transaction of the API signed and sent; its hash. */
  async send(transaction) {
    await this._readChain();
    if (this.chainId !== transaction.chain_id) {
      throw new Plain(`Your wallet is on chain ${this.chainId}; this needs chain ${transaction.chain_id}.`);
    }
    if (!same(this.account, transaction.sender)) {
      throw new Plain("Your wallet has changed its account meanwhile. Start again with this one.");
    }
    const call = {
      from: transaction.sender,
      to: transaction.to,
      data: transaction.data,
      value: hex(transaction.value),
      chainId: hex(transaction.chain_id),
    };
    // A little more than estimated: the state may have moved by the time it is mined.
    if (transaction.gas) call.gas = hex((BigInt(transaction.gas) * 5n) / 4n);
    const hash = await this.request("eth_sendTransaction", [call]);
    if (!/^0x[0-9a-f]{64}$/i.test(hash)) throw new Plain("Your wallet gave no transaction hash.");
    return hash.toLowerCase();
  }

  /** Have a text signed (EIP-191). */
  sign(text) {
    const bytes = new TextEncoder().encode(text);
    const message = "0x" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return this.request("personal_sign", [message, this.account]);
  }

  _provider(rdns) {
    if (rdns === "window.ethereum") return window.ethereum;
    return this.found.get(rdns)?.provider;
  }

  async _take(rdns, provider, accounts) {
    this._left?.();
    this.provider = provider;
    this.rdns = rdns;
    this.account = accounts[0];
    const onAccounts = (list) => {
      if (!list?.length) { this.disconnect(); return; }
      this.account = list[0];
      this._tell();
    };
    const onChain = (id) => { this.chainId = Number(id); this._tell(); };
    provider.on?.("accountsChanged", onAccounts);
    provider.on?.("chainChanged", onChain);
    this._left = () => {
      provider.removeListener?.("accountsChanged", onAccounts);
      provider.removeListener?.("chainChanged", onChain);
    };
    remember(rdns);
    await this._readChain();
    this._tell();
  }

  async _readChain() {
    this.chainId = Number(await this.request("eth_chainId"));
  }

  _tell() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Whether two texts are the same address. */
export function same(one, other) {
  return Boolean(one && other) && one.toLowerCase() === other.toLowerCase();
}

/** `10` or `"10"` -> `0xa`. */
export function hex(value) {
  return "0x" + BigInt(value).toString(16);
}
