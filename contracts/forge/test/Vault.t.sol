// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Base, Handler} from "./Base.sol";
import {IRiskEngine, IVault, Limits} from "./Contracts.sol";

/// People use the vault at random within the limits of a risk engine, some queue, the operator
/// deploys and pays, the owner declares losses. Every answer is foreseen.
contract VaultHandler is Handler {
    struct Exit {
        uint256 second;
        address who;
        uint256 assets;
    }

    uint256 internal constant WEALTH = 2 ** 50;
    uint256 internal constant WITHDRAW_LIMIT = 2 ** 41;
    uint256 internal constant USER_WITHDRAW_LIMIT = 2 ** 40;
    uint256 internal constant DEPLOYMENT_CAP = 2 ** 41;
    address internal constant TREASURY = address(0x7EA);
    uint256 internal constant QUEUED = 1;
    uint256 internal constant PAID = 2;
    uint256 internal constant CLAIMABLE = 3;

    IVault public immutable vault;
    IRiskEngine public immutable risk;
    uint256[] internal owed; // assets of each request, from id 1
    uint256[] internal states;
    Exit[] internal exits; // at once, not through the queue
    uint256 public surplus; // sent here and not rescued
    uint256 public lost;
    uint256 internal assetsThen;
    uint256 internal sharesThen;

    /// After the call nobody's share is worth less than before it.
    modifier keepsTheRate() {
        (assetsThen, sharesThen) = (vault.totalAssets() + 1, vault.totalSupply() + 10 ** 6);
        _;
        uint256 assets = vault.totalAssets() + 1;
        uint256 shares = vault.totalSupply() + 10 ** 6;
        vm.assertGe(assets * sharesThen, assetsThen * shares, "the rate fell");
    }

    constructor() {
        risk = IRiskEngine(create("RiskEngine", abi.encode(OWNER, OPERATOR, GUARDIAN)));
        bytes memory args = abi.encode(token, "Staked", "sT", risk, OWNER, OPERATOR, GUARDIAN);
        vault = IVault(create("Vault", args));
        Limits memory limits = Limits(2 ** 43, 2 ** 40, 2 ** 42, WITHDRAW_LIMIT, USER_WITHDRAW_LIMIT);
        must(OWNER, address(risk), abi.encodeCall(risk.set_limits, (address(vault), limits)));
        must(OWNER, address(vault), abi.encodeCall(vault.set_deployment, (TREASURY, DEPLOYMENT_CAP)));
        for (uint256 i = 0; i < USERS; i++) {
            give(user(i), WEALTH, address(vault));
        }
        give(TREASURY, 0, address(vault));
        owed.push(0);
        states.push(0);
    }

    function deposit(uint256 who, uint256 to, uint256 seed) external keepsTheRate {
        uint256 most = vault.maxDeposit(user(to));
        uint256 assets = seed % 9 == 0 ? most : amountOf(seed, 41);
        uint256 shares = vault.previewDeposit(assets);
        bool right = assets <= most && shares != 0 && assets != 0 && way[user(who)] != Way.Refuses;
        bytes memory data = abi.encodeCall(vault.deposit, (assets, user(to)));
        (bool ok, bytes memory answer) = attempt(user(who), address(vault), data);
        vm.assertTrue(ok == right, "deposit");
        if (ok) vm.assertEq(abi.decode(answer, (uint256)), shares, "shares as told");
    }

    function mint(uint256 who, uint256 seed) external keepsTheRate {
        uint256 shares = amountOf(seed, 61);
        uint256 assets = vault.previewMint(shares);
        bool right = assets <= vault.maxDeposit(user(who)) && way[user(who)] != Way.Refuses;
        bytes memory data = abi.encodeCall(vault.mint, (shares, user(who)));
        (bool ok, bytes memory answer) = attempt(user(who), address(vault), data);
        vm.assertTrue(ok == right, "mint");
        if (ok) vm.assertEq(abi.decode(answer, (uint256)), assets, "assets as told");
    }

    function withdraw(uint256 who, uint256 to, uint256 seed) external keepsTheRate {
        uint256 most = vault.maxWithdraw(user(who));
        uint256 assets = seed % 4 == 0 ? most : amountOf(seed, 41);
        bool right = assets != 0 && assets <= most && way[user(to)] == Way.Well;
        bytes memory data = abi.encodeCall(vault.withdraw, (assets, user(to), user(who)));
        (bool ok,) = attempt(user(who), address(vault), data);
        vm.assertTrue(ok == right, "withdraw");
        if (ok) exits.push(Exit(block.timestamp, user(who), assets));
    }

    function redeem(uint256 who, uint256 to, uint256 seed) external keepsTheRate {
        uint256 most = vault.maxRedeem(user(who));
        uint256 held = vault.balanceOf(user(who));
        uint256 shares = seed % 4 == 0 ? most : amountOf(seed, 61);
        uint256 assets = vault.previewRedeem(shares);
        bytes memory data = abi.encodeCall(vault.redeem, (shares, user(to), user(who)));
        (bool ok, bytes memory answer) = attempt(user(who), address(vault), data);
        bool possible = assets != 0 && shares <= held && way[user(to)] == Way.Well;
        // Between the two rounding decides, to less than a unit of assets.
        if (!possible || shares <= most) vm.assertTrue(ok == possible, "redeem");
        if (!ok) return;
        vm.assertEq(abi.decode(answer, (uint256)), assets, "assets as told");
        exits.push(Exit(block.timestamp, user(who), assets));
    }

    function request(uint256 who, uint256 to, uint256 seed) external keepsTheRate {
        uint256 held = vault.balanceOf(user(who));
        uint256 shares = seed % 4 == 0 ? held : amountOf(seed, 61);
        uint256 assets = vault.convertToAssets(shares);
        bytes memory data = abi.encodeCall(vault.request_redeem, (shares, user(to), user(who)));
        (bool ok, bytes memory answer) = attempt(user(who), address(vault), data);
        vm.assertTrue(ok == (shares <= held && assets != 0), "request");
        if (!ok) return;
        vm.assertEq(abi.decode(answer, (uint256)), owed.length, "id");
        owed.push(assets);
        states.push(QUEUED);
    }

    /// Who must be paid now: in order, as long as there is enough.
    function foresee(uint256 most) internal view returns (uint256 done) {
        uint256 claims = vault.totalAssets() + vault.queued_assets();
        uint256 deployed = vault.deployed_assets();
        uint256 left = claims > deployed ? claims - deployed : 0;
        uint256 id = vault.queue_head();
        while (done < most && id < owed.length && owed[id] <= left) {
            left -= owed[id];
            id++;
            done++;
        }
    }

    function process(uint256 most) external keepsTheRate {
        most = between(most, 0, 6);
        uint256 head = vault.queue_head();
        uint256 done = foresee(most);
        bytes memory data = abi.encodeCall(vault.process_queue, (most));
        (bool ok, bytes memory answer) = attempt(overdue(head) ? STRANGER : OPERATOR, address(vault), data);
        vm.assertTrue(ok, "process");
        vm.assertEq(abi.decode(answer, (uint256)), done, "done");
        for (uint256 id = head; id < head + done; id++) {
            (, address receiver,,,) = vault.requests(id);
            states[id] = way[receiver] == Way.Well ? PAID : CLAIMABLE;
        }
    }

    function overdue(uint256 head) internal view returns (bool) {
        if (head == owed.length) return false;
        (,,, uint256 since,) = vault.requests(head);
        return block.timestamp >= since + 7 days;
    }

    function intrude(uint256 who) external {
        bytes memory data = abi.encodeCall(vault.process_queue, (1));
        if (!overdue(vault.queue_head())) refused(user(who), address(vault), data, "not operator");
        refused(OPERATOR, address(vault), abi.encodeCall(vault.report_loss, (1)), "not owner");
        refused(OWNER, address(vault), abi.encodeCall(vault.deploy_funds, (1)), "not operator");
        address victim = user(who % USERS + 1);
        uint256 shares = vault.balanceOf(victim);
        if (vault.convertToAssets(shares) == 0) return;
        data = abi.encodeCall(vault.request_redeem, (shares, user(who), victim));
        refused(user(who), address(vault), data, "allowance");
        if (vault.convertToAssets(shares) > vault.liquid_assets()) return;
        refused(user(who), address(vault), abi.encodeCall(vault.redeem, (shares, user(who), victim)), "allowance");
    }

    function claim(uint256 seed) external keepsTheRate {
        uint256 id = between(seed, 0, owed.length - 1);
        (, address receiver,,,) = vault.requests(id);
        (bool ok,) = attempt(STRANGER, address(vault), abi.encodeWithSignature("claim_queued(uint256)", id));
        vm.assertTrue(ok == (states[id] == CLAIMABLE && way[receiver] == Way.Well), "claim");
        if (ok) states[id] = PAID;
    }

    function transfer(uint256 who, uint256 to, uint256 seed) external keepsTheRate {
        uint256 shares = amountOf(seed, 61);
        bool right = shares <= vault.balanceOf(user(who));
        (bool ok,) = attempt(user(who), address(vault), abi.encodeCall(vault.transfer, (user(to), shares)));
        vm.assertTrue(ok == right, "transfer");
    }

    function lend(uint256 seed) external keepsTheRate {
        uint256 assets = amountOf(seed, 41);
        bool right =
            assets <= vault.liquid_assets() && assets + vault.deployed_assets() <= DEPLOYMENT_CAP;
        (bool ok,) = attempt(OPERATOR, address(vault), abi.encodeCall(vault.deploy_funds, (assets)));
        vm.assertTrue(ok == right, "deploy_funds");
    }

    function give_back(uint256 seed) external keepsTheRate {
        uint256 assets = seed % 2 == 0 ? vault.deployed_assets() : amountOf(seed, 41);
        bool right = assets != 0 && assets <= vault.deployed_assets();
        (bool ok,) = attempt(TREASURY, address(vault), abi.encodeCall(vault.return_funds, (assets)));
        vm.assertTrue(ok == right, "return_funds");
    }

    /// The only way for the rate to fall, and no further than by what was lost.
    function lose(uint256 seed) external {
        uint256 assets = amountOf(seed, 41);
        uint256 total = vault.totalAssets();
        bool right = assets <= total && assets <= vault.deployed_assets() && seed % 3 == 0;
        if (assets <= total && assets <= vault.deployed_assets() && !right) return; // rare, or nothing is left
        (bool ok,) = attempt(OWNER, address(vault), abi.encodeCall(vault.report_loss, (assets)));
        vm.assertTrue(ok == right, "report_loss");
        if (!ok) return;
        vm.assertEq(vault.totalAssets(), total - assets, "loss");
        must(TREASURY, address(token), abi.encodeCall(token.transfer, (address(0xDEAD), assets)));
        lost += assets;
    }

    function donate(uint256 seed) external keepsTheRate {
        uint256 assets = vault.totalAssets();
        uint256 amount = amountOf(seed, 44);
        token.mint(address(vault), amount);
        surplus += amount;
        vm.assertEq(vault.totalAssets(), assets, "a donation counts");
    }

    function rescue() external keepsTheRate {
        uint256 had = token.balanceOf(OWNER);
        must(OWNER, address(vault), abi.encodeCall(vault.rescue, (address(token), OWNER)));
        vm.assertEq(token.balanceOf(OWNER) - had, surplus, "rescued");
        surplus = 0;
    }

    function wait_(uint256 seconds_) external {
        vm.warp(block.timestamp + between(seconds_, 0, 2 days));
    }

    function wealth() external view returns (uint256 endowed, uint256 has) {
        endowed = USERS * WEALTH;
        for (uint256 i = 0; i < USERS; i++) {
            has += token.balanceOf(user(i)) + vault.convertToAssets(vault.balanceOf(user(i)));
        }
    }

    /// Sums of the requests that wait and of those to be claimed; each stands as it was made.
    function requested() external view returns (uint256 queued, uint256 unclaimed) {
        for (uint256 id = 1; id < owed.length; id++) {
            (,, uint256 assets,, uint256 state) = vault.requests(id);
            vm.assertEq(assets, owed[id], "request");
            vm.assertEq(state, states[id], "state");
            vm.assertTrue((state == QUEUED) == (id >= vault.queue_head()), "order");
            if (state == QUEUED) queued += assets;
            if (state == CLAIMABLE) unclaimed += assets;
        }
        vm.assertEq(vault.queue_tail(), owed.length, "tail");
    }

    /// No day of 24 hours that ends with an exit saw more than the limits allow.
    function checkDays() external view {
        for (uint256 i = 0; i < exits.length; i++) {
            uint256 all = 0;
            uint256 own = 0;
            for (uint256 j = 0; j <= i; j++) {
                if (exits[j].second + 1 days <= exits[i].second) continue;
                all += exits[j].assets;
                if (exits[j].who == exits[i].who) own += exits[j].assets;
            }
            vm.assertLe(all, WITHDRAW_LIMIT, "a day's limit");
            vm.assertLe(own, USER_WITHDRAW_LIMIT, "a user's limit");
        }
    }
}

contract VaultInvariants is Base {
    VaultHandler internal handler;
    IVault internal vault;

    function setUp() external {
        vm.warp(1_700_000_000);
        handler = new VaultHandler();
        vault = handler.vault();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    // One function, since forge would run the same calls anew for each.
    function invariant_the_books_hold() external view {
        assets_cover_shares_queue_and_unclaimed();
        shares_add_up();
        nobody_gains();
        handler.checkDays();
    }

    /// here + deployed = shares' assets + queue + unclaimed + what was sent by mistake.
    function assets_cover_shares_queue_and_unclaimed() internal view {
        (uint256 queued, uint256 unclaimed) = handler.requested();
        vm.assertEq(vault.queued_assets(), queued, "queued");
        vm.assertEq(vault.unclaimed_assets(), unclaimed, "unclaimed");
        uint256 held = handler.token().balanceOf(address(vault)) + vault.deployed_assets();
        vm.assertEq(held, vault.totalAssets() + queued + unclaimed + handler.surplus(), "assets");
    }

    function shares_add_up() internal view {
        uint256 shares = 0;
        uint256 assets = 0;
        for (uint256 i = 0; i < USERS; i++) {
            shares += vault.balanceOf(user(i));
            assets += vault.convertToAssets(vault.balanceOf(user(i)));
        }
        vm.assertEq(vault.totalSupply(), shares, "supply");
        vm.assertLe(assets, vault.totalAssets(), "worth more than there is");
    }

    function nobody_gains() internal view {
        (uint256 endowed, uint256 has) = handler.wealth();
        uint256 due = vault.queued_assets() + vault.unclaimed_assets();
        vm.assertLe(has + due + handler.lost(), endowed, "gain");
    }
}
