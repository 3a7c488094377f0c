// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC4626, IRiskEngine, IToken, IVault, Limits} from "./Contracts.sol";
import {ERC4626Properties} from "./ERC4626Properties.sol";

/// The vault without limits, with funds out and losses declared.
contract VaultProperties is ERC4626Properties {
    address internal constant TREASURY = address(0x7EA);

    IRiskEngine internal risk;

    function setUp() external virtual {
        vm.warp(1_700_000_000);
        token = IToken(create("BTCD", abi.encode(OWNER)));
        risk = IRiskEngine(create("RiskEngine", abi.encode(OWNER, OPERATOR, GUARDIAN)));
        bytes memory args = abi.encode(token, "Staked", "sT", risk, OWNER, OPERATOR, GUARDIAN);
        vault = IERC4626(create("Vault", args));
        must(OWNER, address(vault), abi.encodeCall(IVault.set_deployment, (TREASURY, type(uint256).max)));
    }

    /// Up to three holders, up to half of it out, up to all of that lost, and a request waiting.
    function start(uint256 seed) internal virtual override {
        IVault full = IVault(address(vault));
        for (uint256 i = 0; i < 3; i++) {
            uint256 assets = amountOf(uint256(keccak256(abi.encode(seed, i))), 88);
            if (seed >> i & 1 == 0 && vault.previewDeposit(assets) != 0) deposit(user(i), assets);
        }
        uint256 out = full.liquid_assets() / (2 + seed % 7);
        if (out == 0) return;
        must(OPERATOR, address(vault), abi.encodeCall(full.deploy_funds, (out)));
        uint256 lost = between(seed, 0, out);
        if (lost != 0 && seed % 3 == 0) must(OWNER, address(vault), abi.encodeCall(full.report_loss, (lost)));
        uint256 shares = vault.balanceOf(user(seed % 3)) / 3;
        if (vault.convertToAssets(shares) == 0) return;
        must(user(seed % 3), address(vault), abi.encodeCall(full.request_redeem, (shares, user(3), user(seed % 3))));
    }

    function limited(address who) internal view override returns (bool) {
        uint256 worth = vault.convertToAssets(vault.balanceOf(who));
        return risk.deposit_room(address(vault), vault.totalAssets(), worth) == vault.maxDeposit(who);
    }

    /// Shares and assets as the formula of the virtual offset says, to the unit.
    function testFuzz_the_rate_is_the_formula(uint256 seed, uint256 amount) external from(seed) {
        amount = between(amount, 0, type(uint112).max);
        uint256 assets = vault.totalAssets() + 1;
        uint256 shares = vault.totalSupply() + 10 ** 6;
        vm.assertEq(vault.previewDeposit(amount), amount * shares / assets, "deposit");
        vm.assertEq(vault.previewRedeem(amount), amount * assets / shares, "redeem");
        vm.assertEq(vault.previewMint(amount), (amount * assets + shares - 1) / shares, "mint");
        vm.assertEq(vault.previewWithdraw(amount), (amount * shares + assets - 1) / assets, "withdraw");
        vm.assertEq(vault.decimals(), 24, "decimals");
    }

    /// What is paused says that nothing is possible, and nothing is.
    function testFuzz_paused_means_none(uint256 seed, uint256 amount) external from(seed) {
        address who = holder(amount);
        must(OWNER, address(vault), abi.encodeCall(IVault.pause, (1 | 2, 0)));
        vm.assertEq(vault.maxDeposit(who) + vault.maxMint(who), 0, "in");
        vm.assertEq(vault.maxWithdraw(who) + vault.maxRedeem(who), 0, "out");
        refused(who, address(vault), abi.encodeCall(vault.deposit, (10 ** 30, who)), "paused");
        refused(who, address(vault), abi.encodeCall(vault.redeem, (10 ** 6, who, who)), "paused");
    }
}

/// The same within the limits of the risk engine.
contract LimitedVaultProperties is VaultProperties {
    function start(uint256 seed) internal override {
        set(Limits(0, 0, 0, 0, 0));
        super.start(seed);
        uint256 total = vault.totalAssets();
        set(
            Limits({
                tvl_cap: seed % 5 == 0 ? 0 : total + amountOf(seed, 100),
                deposit_cap: seed % 7 == 0 ? 0 : amountOf(seed / 7, 90),
                user_cap: seed % 11 == 0 ? 0 : amountOf(seed / 11, 95),
                withdraw_limit: seed % 13 == 0 ? 0 : amountOf(seed / 13, 90),
                user_withdraw_limit: seed % 17 == 0 ? 0 : amountOf(seed / 17, 88)
            })
        );
    }

    function set(Limits memory limits) internal {
        must(OWNER, address(risk), abi.encodeCall(risk.set_limits, (address(vault), limits)));
    }
}
