"""A browser wallet (EIP-1193, announced by EIP-6963) with a key of a real node behind it."""

from __future__ import annotations

import json
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from playwright.async_api import BrowserContext, Page

from tests.support.evm_nodes import Node, NodeError

SHIM = """(() => {
  const heard = {};
  const provider = {
    async request({ method, params = [] }) {
      const answer = JSON.parse(await window.__wallet(JSON.stringify({ method, params })));
      if (!answer.error) return answer.result;
      throw Object.assign(new Error(answer.error.message), answer.error);
    },
    on(name, f) { (heard[name] ??= []).push(f); },
    removeListener(name, f) { heard[name] = (heard[name] ?? []).filter((each) => each !== f); },
  };
  window.__emit = (name, value) => (heard[name] ?? []).forEach((f) => f(value));
  const detail = Object.freeze({
    info: { uuid: "350670db-19fa-4704-a166-e52e178b59d2", name: "Test wallet", icon: "data:,", rdns: "test.wallet" },
    provider,
  });
  const announce = () => window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  window.addEventListener("eip6963:requestProvider", announce);
  announce();
})();"""


class WalletRefusalError(Exception):
    """An error object of EIP-1193."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class BrowserWallet:
    """What a person has in their browser; `refuse` is their next answer."""

    def __init__(self, node: Node, account: LocalAccount) -> None:
        self.node = node
        self.account = account
        self.chain_id = node.chain_id
        self.allowed = False
        self.refuse = False
        self.asked: list[str] = []
        self._page: Page | None = None

    async def put_into(self, context: BrowserContext) -> None:
        """Let every page of the context find this wallet."""
        await context.expose_function("__wallet", self._answer)
        await context.add_init_script(SHIM)

    def watch(self, page: Page) -> None:
        """The page that is told of changes."""
        self._page = page

    async def _answer(self, text: str) -> str:
        wanted = json.loads(text)
        try:
            return json.dumps({"result": await self._do(wanted["method"], wanted["params"])})
        except WalletRefusalError as error:
            return json.dumps({"error": {"code": error.code, "message": str(error)}})
        except NodeError as error:
            found = {"code": error.code, "message": error.message, "data": error.data}
            return json.dumps({"error": found})

    async def _do(self, method: str, params: list[Any]) -> Any:
        if method in {"eth_requestAccounts", "personal_sign", "eth_sendTransaction"}:
            self.asked.append(method)
            if self.refuse:
                self.refuse = False
                raise WalletRefusalError(4001, "User rejected the request.")
        known = {
            "eth_requestAccounts": self._accounts,
            "eth_accounts": lambda _: [self.account.address.lower()] if self.allowed else [],
            "eth_chainId": lambda _: hex(self.chain_id),
            "personal_sign": self._sign,
            "eth_sendTransaction": self._send,
        }
        if method in known:
            return known[method](params)
        if method == "wallet_switchEthereumChain":
            return await self._switch(int(params[0]["chainId"], 16))
        return self.node.rpc(method, *params)

    def _accounts(self, _: list[Any]) -> list[str]:
        self.allowed = True
        return [self.account.address.lower()]

    def _sign(self, params: list[Any]) -> str:
        message = encode_defunct(hexstr=params[0])
        return "0x" + bytes(Account.sign_message(message, self.account.key).signature).hex()

    def _send(self, params: list[Any]) -> str:
        (call,) = params
        assert int(call["chainId"], 16) == self.chain_id
        gas = call.get("gas") or self.node.rpc(
            "eth_estimateGas", {name: call[name] for name in ("from", "to", "data")}
        )
        return self.node.send(
            self.account, to=call["to"], data=bytes.fromhex(call["data"][2:]), gas=int(gas, 16)
        )

    async def _switch(self, chain_id: int) -> None:
        if chain_id != self.node.chain_id:
            raise WalletRefusalError(4902, "Unrecognized chain ID.")
        await self.move(chain_id)

    async def move(self, chain_id: int) -> None:
        """Go to a chain, as a person may do in the wallet at any time."""
        self.chain_id = chain_id
        assert self._page is not None
        await self._page.evaluate("id => window.__emit('chainChanged', id)", hex(chain_id))
