// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Base} from "./Base.sol";
import {IERC4626, IPermit, IToken} from "./Contracts.sol";

/// What ERC-4626, ERC-20 and ERC-2612 promise, for any vault in any state that `start` makes.
/// Who uses it sets `vault` and `token` in `setUp`, and gives the three holders stakes in `start`.
abstract contract ERC4626Properties is Base {
    uint256 internal constant KEY = 0x5167;

    IERC4626 internal vault;
    IToken internal token;

    /// Bring the vault into a state that follows from `seed`.
    function start(uint256 seed) internal virtual;

    /// Whether `maxDeposit` is the exact limit; the standard lets it be less than what would work.
    function limited(address who) internal virtual returns (bool);

    modifier from(uint256 seed) {
        start(seed);
        _;
    }

    function fund(address who, uint256 assets) internal {
        must(OWNER, address(token), abi.encodeCall(token.mint, (who, assets)));
        must(who, address(token), abi.encodeCall(token.approve, (address(vault), assets)));
    }

    function deposit(address who, uint256 assets) internal returns (uint256) {
        fund(who, assets);
        return abi.decode(must(who, address(vault), abi.encodeCall(vault.deposit, (assets, who))), (uint256));
    }

    /// An amount that a newcomer may deposit, and that buys at least a share.
    function entry(uint256 seed) internal view returns (uint256) {
        uint256 most = vault.maxDeposit(STRANGER);
        uint256 least = vault.previewMint(1);
        vm.assume(least <= most);
        return between(amountOf(seed, 88), least, most);
    }

    /// A holder with shares.
    function holder(uint256 seed) internal view returns (address who) {
        for (uint256 i = 0; i < 3; i++) {
            who = user((seed % 3 + i) % 3);
            if (vault.maxWithdraw(who) != 0) return who;
        }
        vm.assume(false);
    }

    // Totals and conversions

    function testFuzz_views_never_revert(uint256 seed, address anybody, uint256 amount) external from(seed) {
        amount = between(amount, 0, type(uint112).max);
        vm.assertEq(vault.asset(), address(token), "asset");
        vault.totalAssets();
        vault.convertToShares(amount);
        vault.convertToAssets(amount);
        vault.maxDeposit(anybody);
        vault.maxMint(anybody);
        vault.maxWithdraw(anybody);
        vault.maxRedeem(anybody);
        vault.previewDeposit(amount);
        vault.previewMint(amount);
        vault.previewWithdraw(amount);
        vault.previewRedeem(amount);
    }

    /// Conversions and previews do not depend on who asks.
    function testFuzz_every_caller_reads_the_same(uint256 seed, uint256 amount) external from(seed) {
        amount = between(amount, 0, type(uint112).max);
        bytes4[6] memory views = [
            vault.convertToShares.selector,
            vault.convertToAssets.selector,
            vault.previewDeposit.selector,
            vault.previewMint.selector,
            vault.previewWithdraw.selector,
            vault.previewRedeem.selector
        ];
        for (uint256 i = 0; i < views.length; i++) {
            bytes memory data = abi.encodeWithSelector(views[i], amount);
            bytes memory told = must(STRANGER, address(vault), data);
            vm.assertEq(keccak256(told), keccak256(must(user(0), address(vault), data)), "caller");
        }
    }

    /// Conversions round down, and there and back makes nothing.
    function testFuzz_conversions_make_nothing(uint256 seed, uint256 amount) external from(seed) {
        amount = between(amount, 0, type(uint112).max);
        vm.assertLe(vault.convertToAssets(vault.convertToShares(amount)), amount, "assets");
        vm.assertLe(vault.convertToShares(vault.convertToAssets(amount)), amount, "shares");
    }

    /// Entering rounds up what is paid, leaving rounds up what is given back.
    function testFuzz_rounding_favours_the_vault(uint256 seed, uint256 amount) external from(seed) {
        amount = between(amount, 1, type(uint112).max);
        vm.assertLe(vault.previewDeposit(amount), vault.convertToShares(amount), "deposit");
        vm.assertGe(vault.previewMint(amount), vault.convertToAssets(amount), "mint");
        vm.assertGe(vault.previewWithdraw(amount), vault.convertToShares(amount), "withdraw");
        vm.assertLe(vault.previewRedeem(amount), vault.convertToAssets(amount), "redeem");
        vm.assertGe(vault.previewMint(vault.previewDeposit(amount) + 1), amount, "mint after deposit");
        vm.assertLe(vault.previewRedeem(vault.previewWithdraw(amount) - 1), amount, "redeem after withdraw");
        vm.assertTrue(vault.previewMint(1) != 0 && vault.previewWithdraw(1) != 0, "something for nothing");
    }

    function testFuzz_nothing_is_worth_nothing(uint256 seed) external from(seed) {
        vm.assertEq(vault.previewDeposit(0) + vault.previewMint(0), 0, "in");
        vm.assertEq(vault.previewWithdraw(0) + vault.previewRedeem(0), 0, "out");
        vm.assertEq(vault.maxWithdraw(STRANGER) + vault.maxRedeem(STRANGER), 0, "no shares");
    }

    // Previews against what happens, balances, events

    function testFuzz_deposit_does_as_previewed(uint256 seed, uint256 amount) external from(seed) {
        uint256 assets = entry(amount);
        uint256 told = vault.previewDeposit(assets);
        (uint256 total, uint256 supply) = (vault.totalAssets(), vault.totalSupply());
        uint256 held = vault.balanceOf(user(3));
        fund(STRANGER, assets);
        vm.expectEmit(true, true, true, true, address(vault));
        emit IERC4626.Transfer(address(0), user(3), told);
        vm.expectEmit(true, true, true, true, address(vault));
        emit IERC4626.Deposit(STRANGER, user(3), assets, told);
        vm.prank(STRANGER);
        uint256 shares = vault.deposit(assets, user(3));
        vm.assertEq(shares, told, "preview");
        entered(assets, shares, total, supply, held);
    }

    function testFuzz_mint_does_as_previewed(uint256 seed, uint256 amount) external from(seed) {
        uint256 most = vault.maxMint(user(3));
        vm.assume(most != 0);
        uint256 shares = between(amountOf(amount, 108), 1, most);
        uint256 told = vault.previewMint(shares);
        (uint256 total, uint256 supply) = (vault.totalAssets(), vault.totalSupply());
        uint256 held = vault.balanceOf(user(3));
        fund(STRANGER, told);
        vm.expectEmit(true, true, true, true, address(vault));
        emit IERC4626.Deposit(STRANGER, user(3), told, shares);
        vm.prank(STRANGER);
        uint256 assets = vault.mint(shares, user(3));
        vm.assertEq(assets, told, "preview");
        entered(assets, shares, total, supply, held);
    }

    function entered(uint256 assets, uint256 shares, uint256 total, uint256 supply, uint256 held) internal view {
        vm.assertEq(token.balanceOf(STRANGER), 0, "paid");
        vm.assertEq(vault.balanceOf(user(3)), held + shares, "received");
        vm.assertEq(vault.totalAssets(), total + assets, "total");
        vm.assertEq(vault.totalSupply(), supply + shares, "supply");
    }

    function testFuzz_withdraw_does_as_previewed(uint256 seed, uint256 amount) external from(seed) {
        address who = holder(amount);
        uint256 assets = between(amount, 1, vault.maxWithdraw(who));
        uint256 told = vault.previewWithdraw(assets);
        uint256 held = vault.balanceOf(who);
        (uint256 total, uint256 supply) = (vault.totalAssets(), vault.totalSupply());
        vm.expectEmit(true, true, true, true, address(vault));
        emit IERC4626.Transfer(who, address(0), told);
        vm.expectEmit(true, true, true, true, address(vault));
        emit IERC4626.Withdraw(who, STRANGER, who, assets, told);
        vm.prank(who);
        uint256 shares = vault.withdraw(assets, STRANGER, who);
        vm.assertEq(shares, told, "preview");
        left(assets, total, supply - shares);
        vm.assertEq(vault.balanceOf(who), held - shares, "given back");
    }

    function testFuzz_redeem_does_as_previewed(uint256 seed, uint256 amount) external from(seed) {
        address who = holder(amount);
        uint256 shares = between(amount, 1, vault.maxRedeem(who));
        uint256 told = vault.previewRedeem(shares);
        vm.assume(told != 0);
        uint256 held = vault.balanceOf(who);
        (uint256 total, uint256 supply) = (vault.totalAssets(), vault.totalSupply());
        vm.expectEmit(true, true, true, true, address(vault));
        emit IERC4626.Withdraw(who, STRANGER, who, told, shares);
        vm.prank(who);
        uint256 assets = vault.redeem(shares, STRANGER, who);
        vm.assertEq(assets, told, "preview");
        left(assets, total, supply - shares);
        vm.assertEq(vault.balanceOf(who), held - shares, "given back");
    }

    function left(uint256 assets, uint256 total, uint256 supply) internal view {
        vm.assertEq(token.balanceOf(STRANGER), assets, "received");
        vm.assertEq(vault.totalAssets(), total - assets, "total");
        vm.assertEq(vault.totalSupply(), supply, "supply");
    }

    // Limits

    function testFuzz_max_of_each_is_possible(uint256 seed, uint256 which) external from(seed) {
        uint256 most = vault.maxDeposit(STRANGER);
        if (vault.previewDeposit(most) != 0) deposit(STRANGER, most);
        start(seed ^ 1);
        most = vault.maxMint(STRANGER);
        if (most != 0) {
            fund(STRANGER, vault.previewMint(most));
            must(STRANGER, address(vault), abi.encodeCall(vault.mint, (most, STRANGER)));
        }
        address who = user(which % 3);
        most = vault.maxRedeem(who);
        if (vault.previewRedeem(most) != 0) {
            if (which % 2 == 0) {
                must(who, address(vault), abi.encodeCall(vault.redeem, (most, who, who)));
            } else {
                most = vault.maxWithdraw(who);
                must(who, address(vault), abi.encodeCall(vault.withdraw, (most, who, who)));
            }
        }
    }

    function testFuzz_more_than_the_most_is_refused(uint256 seed, uint256 which) external from(seed) {
        address who = user(which % 3);
        uint256 more = vault.maxWithdraw(who) + 1;
        (bool ok,) = attempt(who, address(vault), abi.encodeCall(vault.withdraw, (more, who, who)));
        vm.assertTrue(!ok, "withdraw");
        more = vault.balanceOf(who) + 1;
        (ok,) = attempt(who, address(vault), abi.encodeCall(vault.redeem, (more, who, who)));
        vm.assertTrue(!ok, "redeem");
        if (!limited(who)) return;
        more = vault.maxDeposit(who);
        fund(who, more + 1);
        (ok,) = attempt(who, address(vault), abi.encodeCall(vault.deposit, (more + 1, who)));
        vm.assertTrue(!ok, "deposit");
    }

    // Round trips

    function testFuzz_in_and_out_never_profits(uint256 seed, uint256 amount, uint256 way) external from(seed) {
        uint256 assets = entry(amount);
        uint256 shares;
        if (way % 2 == 0) {
            shares = deposit(STRANGER, assets);
        } else {
            shares = vault.previewDeposit(assets);
            assets = vault.previewMint(shares);
            fund(STRANGER, assets);
            must(STRANGER, address(vault), abi.encodeCall(vault.mint, (shares, STRANGER)));
        }
        uint256 most = vault.maxWithdraw(STRANGER);
        vm.assertLe(most, assets, "more to withdraw than was put in");
        if (most == 0) return;
        if (way % 4 < 2) {
            shares = vault.maxRedeem(STRANGER);
            if (vault.previewRedeem(shares) == 0) return;
            must(STRANGER, address(vault), abi.encodeCall(vault.redeem, (shares, STRANGER, STRANGER)));
        } else {
            must(STRANGER, address(vault), abi.encodeCall(vault.withdraw, (most, STRANGER, STRANGER)));
        }
        vm.assertLe(token.balanceOf(STRANGER), assets, "profit");
    }

    function testFuzz_out_and_in_never_profits(uint256 seed, uint256 amount, uint256 way) external from(seed) {
        address who = holder(amount);
        uint256 held = vault.balanceOf(who);
        uint256 had = token.balanceOf(who);
        uint256 assets = between(amount, 1, vault.maxWithdraw(who));
        must(who, address(vault), abi.encodeCall(vault.withdraw, (assets, who, who)));
        must(who, address(token), abi.encodeCall(token.approve, (address(vault), assets)));
        if (assets > vault.maxDeposit(who) || vault.previewDeposit(assets) == 0) return;
        if (way % 2 == 0) {
            must(who, address(vault), abi.encodeCall(vault.deposit, (assets, who)));
        } else {
            uint256 shares = vault.previewDeposit(assets);
            must(who, address(vault), abi.encodeCall(vault.mint, (shares, who)));
            vm.assertLe(token.balanceOf(who) - had, vault.previewMint(1), "dust");
        }
        vm.assertLe(vault.balanceOf(who), held, "more shares for the same assets");
    }

    /// What one does leaves the others with no less.
    function testFuzz_others_lose_nothing(uint256 seed, uint256 amount) external from(seed) {
        uint256 before = vault.convertToAssets(vault.balanceOf(user(0)));
        uint256 assets = entry(amount);
        deposit(STRANGER, assets);
        vm.assertGe(vault.convertToAssets(vault.balanceOf(user(0))), before, "by a deposit");
        uint256 most = vault.maxWithdraw(STRANGER);
        if (most == 0) return;
        assets = between(amount, 1, most);
        must(STRANGER, address(vault), abi.encodeCall(vault.withdraw, (assets, STRANGER, STRANGER)));
        vm.assertGe(vault.convertToAssets(vault.balanceOf(user(0))), before, "by a withdrawal");
    }

    // Allowances

    function testFuzz_others_shares_need_an_allowance(uint256 seed, uint256 amount) external from(seed) {
        address who = holder(amount);
        uint256 assets = between(amount, 1, vault.maxWithdraw(who));
        uint256 shares = vault.previewWithdraw(assets);
        bytes memory data = abi.encodeCall(vault.withdraw, (assets, STRANGER, who));
        must(who, address(vault), abi.encodeCall(vault.approve, (STRANGER, shares - 1)));
        (bool ok,) = attempt(STRANGER, address(vault), data);
        vm.assertTrue(!ok, "without enough allowance");
        uint256 allowed = shares + amount % 1000;
        must(who, address(vault), abi.encodeCall(vault.approve, (STRANGER, allowed)));
        must(STRANGER, address(vault), data);
        vm.assertEq(vault.allowance(who, STRANGER), allowed - shares, "used up");
    }

    function testFuzz_redeeming_for_others_uses_their_allowance(uint256 seed, uint256 amount) external from(seed) {
        address who = holder(amount);
        uint256 shares = between(amount, 1, vault.maxRedeem(who));
        vm.assume(vault.previewRedeem(shares) != 0);
        bytes memory data = abi.encodeCall(vault.redeem, (shares, STRANGER, who));
        must(who, address(vault), abi.encodeCall(vault.approve, (STRANGER, shares - 1)));
        (bool ok,) = attempt(STRANGER, address(vault), data);
        vm.assertTrue(!ok, "without enough allowance");
        must(who, address(vault), abi.encodeCall(vault.approve, (STRANGER, type(uint256).max)));
        must(STRANGER, address(vault), data);
        vm.assertEq(vault.allowance(who, STRANGER), type(uint256).max, "endless");
    }

    // Shares as ERC-20

    function testFuzz_shares_move_as_a_token(uint256 seed, uint256 amount, uint256 to) external from(seed) {
        address who = holder(amount);
        address receiver = user(to);
        uint256 held = vault.balanceOf(who);
        uint256 others = vault.balanceOf(receiver);
        uint256 shares = between(amount, 0, held);
        vm.expectEmit(true, true, true, true, address(vault));
        emit IERC4626.Transfer(who, receiver, shares);
        vm.prank(who);
        vm.assertTrue(vault.transfer(receiver, shares), "answer");
        vm.assertEq(vault.balanceOf(who), who == receiver ? held : held - shares, "sender");
        vm.assertEq(vault.balanceOf(receiver), who == receiver ? held : others + shares, "receiver");
        bytes memory data = abi.encodeCall(vault.transfer, (receiver, vault.balanceOf(who) + 1));
        (bool ok,) = attempt(who, address(vault), data);
        vm.assertTrue(!ok, "more than held");
    }

    function testFuzz_shares_are_moved_by_allowance(uint256 seed, uint256 amount) external from(seed) {
        address who = holder(amount);
        uint256 shares = between(amount, 1, vault.balanceOf(who));
        bytes memory data = abi.encodeCall(vault.transferFrom, (who, STRANGER, shares));
        (bool ok,) = attempt(STRANGER, address(vault), data);
        vm.assertTrue(!ok, "without allowance");
        vm.expectEmit(true, true, true, true, address(vault));
        emit IERC4626.Approval(who, STRANGER, shares);
        vm.prank(who);
        vault.approve(STRANGER, shares);
        must(STRANGER, address(vault), data);
        vm.assertEq(vault.allowance(who, STRANGER), 0, "used up");
        vm.assertEq(vault.balanceOf(STRANGER), shares, "moved");
    }

    function testFuzz_a_permit_is_an_approval_once(uint256 amount, uint256 ahead) external {
        IPermit permit = IPermit(address(vault));
        address signer = vm.addr(KEY);
        uint256 deadline = block.timestamp + between(ahead, 0, 365 days);
        bytes32 digest = permitDigest(signer, amount, permit.nonces(signer), deadline);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digest);
        bytes memory data = abi.encodeCall(permit.permit, (signer, STRANGER, amount, deadline, v, r, s));
        must(user(0), address(vault), data);
        vm.assertEq(vault.allowance(signer, STRANGER), amount, "allowance");
        vm.assertEq(permit.nonces(signer), 1, "nonce");
        refused(user(0), address(vault), data, "signature");
        vm.warp(deadline + 1);
        refused(user(0), address(vault), data, "expired");
    }

    function permitDigest(address signer, uint256 amount, uint256 nonce, uint256 deadline)
        internal
        view
        returns (bytes32)
    {
        bytes32 kind =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 said = keccak256(abi.encode(kind, signer, STRANGER, amount, nonce, deadline));
        return keccak256(abi.encodePacked("\x19\x01", IPermit(address(vault)).DOMAIN_SEPARATOR(), said));
    }

    // Inflation

    /// Whatever is sent to the vault, nobody's share changes, and no deposit rounds away.
    function testFuzz_a_donation_takes_nothing_from_anybody(uint256 seed, uint256 amount, uint256 donated)
        external
        from(seed)
    {
        uint256 worth = vault.convertToAssets(vault.balanceOf(user(0)));
        uint256 assets = entry(amount);
        uint256 expected = vault.previewDeposit(assets);
        donated = amountOf(donated, 90);
        must(OWNER, address(token), abi.encodeCall(token.mint, (address(vault), donated)));
        vm.assertEq(vault.previewDeposit(assets), expected, "shares");
        vm.assertEq(vault.convertToAssets(vault.balanceOf(user(0))), worth, "worth");
    }

    /// The first depositor cannot make the second one's shares round down to their own gain.
    function testFuzz_the_first_depositor_cannot_inflate(uint256 first, uint256 donated, uint256 second) external {
        first = amountOf(first, 60);
        second = amountOf(second, 80);
        deposit(STRANGER, first);
        must(OWNER, address(token), abi.encodeCall(token.mint, (address(vault), amountOf(donated, 90))));
        deposit(user(0), second);
        uint256 back = vault.maxWithdraw(user(0));
        vm.assertGe(back + 1, second, "the second depositor lost");
        vm.assertLe(vault.maxWithdraw(STRANGER), first, "the first one gained");
    }
}
