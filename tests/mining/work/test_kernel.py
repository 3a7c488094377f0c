"""The C kernel does exactly what the Python reference does, on any input."""

import hashlib
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millpond.mining.work import _kernel as kernel
from millpond.mining.work import native, reference

BITCOIN_GENESIS = bytes.fromhex(
    "01000000" + "00" * 32 + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"
    "29ab5f49ffff001d1dac2b7c"
)
LITECOIN_GENESIS = bytes.fromhex(
    "01000000" + "00" * 32 + "d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6bafbdd97"
    "b9aa8e4ef0ff0f1ecd513f7c"
)
hash32 = st.binary(min_size=32, max_size=32)
uint32 = st.integers(0, 0xFFFFFFFF)


@pytest.fixture(params=[True, False], ids=["best", "portable"])
def sha(request):
    """Run with the processor's SHA instructions (where it has them) and without."""
    kernel.use_sha_ni(request.param)
    yield
    kernel.use_sha_ni(True)


def test_the_extension_is_built_here():
    assert native()


@pytest.mark.parametrize("module", [kernel, reference])
def test_genesis_headers_hash_to_what_everybody_knows(module):
    assert module.sha256d(BITCOIN_GENESIS)[::-1].hex() == (
        "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    )
    assert module.sha256d(LITECOIN_GENESIS)[::-1].hex() == (
        "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2"
    )
    target = 0x0FFFF0 << 8 * (0x1E - 3)  # nBits 1e0ffff0
    assert int.from_bytes(module.scrypt(LITECOIN_GENESIS), "little") <= target


@pytest.mark.parametrize("module", [kernel, reference])
def test_scanning_finds_the_nonce_of_the_genesis_block(module):
    target = (0xFFFF << 208).to_bytes(32, "little")
    nonce = int.from_bytes(BITCOIN_GENESIS[76:], "little")
    found = module.scan(module.SHA256D, BITCOIN_GENESIS, nonce - 500, 1000, target)
    assert found == (nonce, 501)
    assert module.scan(module.SHA256D, BITCOIN_GENESIS, nonce + 1, 50, target) == (None, 50)


@pytest.mark.usefixtures("sha")
def test_sha256d_of_every_length_round_the_block_borders():
    for size in [*range(260), 1000, 4096, 100_001]:
        data = bytes(i * 7 % 251 for i in range(size))
        assert kernel.sha256d(data) == hashlib.sha256(hashlib.sha256(data).digest()).digest()


@pytest.mark.usefixtures("sha")
def test_scrypt_of_every_length_round_the_block_borders():
    for size in [0, 1, 55, 56, 63, 64, 65, 79, 80, 81, 119, 128, 129, 300]:
        data = bytes(i * 5 % 253 for i in range(size))
        assert kernel.scrypt(data) == reference.scrypt(data)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 70), st.randoms(use_true_random=False))
def test_merkle_branches_are_equal_and_lead_to_the_root(count, random):
    leaves = [random.randbytes(32) for _ in range(count + 1)]
    branch = kernel.merkle_branch(b"".join(leaves[1:]))
    assert branch == reference.merkle_branch(b"".join(leaves[1:]))
    root = leaves[0]
    for i in range(0, len(branch), 32):
        root = reference.sha256d(root + branch[i : i + 32])
    level = leaves
    while len(level) > 1:
        level = level + [level[-1]] * (len(level) % 2)
        level = [reference.sha256d(a + b) for a, b in zip(level[::2], level[1::2], strict=True)]
    assert root == level[0]


@settings(deadline=None, max_examples=300)
@given(
    algorithm=st.sampled_from([reference.SHA256D, reference.SHA256D, reference.SCRYPT]),
    parts=st.tuples(st.binary(max_size=300), st.binary(max_size=300)),
    branch=st.integers(0, 13).flatmap(lambda n: st.binary(min_size=32 * n, max_size=32 * n)),
    prev_hash=hash32,
    targets=st.tuples(hash32, hash32),
    extranonces=st.tuples(st.binary(max_size=64), st.binary(max_size=64)),
    numbers=st.tuples(uint32, uint32, uint32, uint32),
    portable=st.booleans(),
)
def test_a_share_gets_the_same_verdict_in_c_and_python(
    algorithm, parts, branch, prev_hash, targets, extranonces, numbers, portable
):
    arguments = (algorithm, *parts, branch, prev_hash, numbers[3], targets[0])
    kernel.use_sha_ni(not portable)
    try:
        native_work, reference_work = kernel.Work(*arguments), reference.Work(*arguments)
        first, second = extranonces
        ntime, nonce, version = numbers[:3]
        share = (first, second, ntime, nonce, version)
        assert native_work.header(*share) == reference_work.header(*share)
        verdict = native_work.check(*share, targets[1])
        assert verdict == reference_work.check(*share, targets[1])
    finally:
        kernel.use_sha_ni(True)


@settings(deadline=None, max_examples=60)
@given(
    algorithm=st.sampled_from([reference.SHA256D, reference.SCRYPT]),
    header=st.binary(min_size=80, max_size=80),
    start=st.one_of(uint32, st.integers(0xFFFFFFF0, 0xFFFFFFFF)),
    count=st.integers(0, 40),
    exponent=st.integers(240, 255),
)
def test_scanning_is_equal_up_to_the_last_nonce(algorithm, header, start, count, exponent):
    target = (1 << exponent).to_bytes(32, "little")
    assert kernel.scan(algorithm, header, start, count, target) == reference.scan(
        algorithm, header, start, count, target
    )


@pytest.mark.parametrize(
    "value", [0, 1, 0x7F, 0x80, 0xFFFF, 0x800000, 0xFFFFFF, 1 << 255, 5 << 200]
)
def test_verdicts_hold_exactly_at_the_target(value):
    """A hash equal to the target meets it; one above does not."""
    for module in (kernel, reference):
        digest = module.Work(0, b"", b"", b"", bytes(32), 0, bytes(32)).check(
            b"", b"", value % 7, 0, 0, bytes(32)
        )[1]
        number = int.from_bytes(digest, "little")
        for target, verdict in ((number, 1), (number - 1, 0), (number + 1, 1)):
            work = module.Work(0, b"", b"", b"", bytes(32), 0, target.to_bytes(32, "little"))
            verdict_of = work.check(b"", b"", value % 7, 0, 0, target.to_bytes(32, "little"))[0]
            assert verdict_of == 3 * verdict


GOOD = (0, b"", b"", b"", bytes(32), 0, bytes(32))


@pytest.mark.parametrize("module", [kernel, reference])
@pytest.mark.parametrize(
    ("position", "value", "error"),
    [
        (0, 2, ValueError),
        (3, bytes(31), ValueError),
        (3, bytes(33 * 32), ValueError),
        (4, bytes(31), ValueError),
        (6, bytes(33), ValueError),
        (1, bytes(8_000_001), ValueError),
        (2, bytes(8_000_001), ValueError),
    ],
)
def test_a_job_of_impossible_parts_is_refused(module, position, value, error):
    arguments = list(GOOD)
    arguments[position] = value
    with pytest.raises(error):
        module.Work(*arguments)


@pytest.mark.parametrize("module", [kernel, reference])
def test_shares_of_impossible_parts_are_refused(module):
    work = module.Work(*GOOD)
    with pytest.raises(ValueError):
        work.check(bytes(65), b"", 0, 0, 0, bytes(32))
    with pytest.raises(ValueError):
        work.check(b"", b"", 0, 0, 0, bytes(31))
    for bad in (-1, 1 << 32, 1 << 70):
        with pytest.raises(OverflowError):
            work.header(b"", b"", bad, 0, 0)
    with pytest.raises(OverflowError):
        module.scan(0, bytes(80), 1 << 32, 1, bytes(32))
    with pytest.raises(OverflowError):
        module.scan(0, bytes(80), 0, -1, bytes(32))
    with pytest.raises(ValueError):
        module.scan(0, bytes(79), 0, 1, bytes(32))
    with pytest.raises(ValueError):
        module.scan(9, bytes(80), 0, 1, bytes(32))


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(st.none(), st.integers(), st.binary(max_size=90), st.text(max_size=4)), max_size=8
    )
)
def test_arguments_of_any_kind_are_an_error_and_never_a_crash(arguments):
    work = kernel.Work(*GOOD)
    for call in (kernel.Work, work.check, work.header, kernel.scan):
        outcome: object = None
        try:
            outcome = call(*arguments)
        except (TypeError, ValueError, OverflowError) as error:
            outcome = str(error)
        assert outcome


SANITIZED = """
import random
from millpond_sanitized import _kernel as k
r = random.Random(5)
for n in range(0, 200):
    k.sha256d(r.randbytes(n)); k.merkle_branch(r.randbytes(32 * n))
for n in range(0, 140, 7):
    k.scrypt(r.randbytes(n))
for ni in (True, False):
    k.use_sha_ni(ni)
    for n in range(300):
        w = k.Work(n % 20 == 0, r.randbytes(n), r.randbytes(n * 3 % 200), r.randbytes(32 * (n % 33)),
                   r.randbytes(32), n, r.randbytes(32))
        w.check(r.randbytes(n % 65), r.randbytes(64 - n % 65), n, 0xFFFFFFFF, n, r.randbytes(32))
        for bad in ((b'',), (bytes(65), b'', 0, 0, 0, bytes(32)), (None,) * 6):
            try: w.check(*bad)
            except (TypeError, ValueError): pass
    k.scan(0, bytes(80), 0xFFFFFFF0, 100, bytes(32)); k.scan(1, bytes(80), 0xFFFFFFFE, 100, bytes(32))
print('clean')
"""


def test_the_kernel_is_clean_under_the_address_and_undefined_sanitizers(tmp_path):
    package = tmp_path / "millpond_sanitized"
    package.mkdir()
    (package / "__init__.py").touch()
    source = Path(reference.__file__).with_name("_kernel.c")
    module = package / f"_kernel{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run(
        ["gcc", "-std=c11", "-O1", "-g", "-shared", "-fPIC", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all", f"-I{sysconfig.get_path('include')}", "-o", module, source],
        check=True,
    )  # fmt: skip
    library = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    ).stdout.strip()
    run = subprocess.run(
        [sys.executable, "-c", SANITIZED],
        env={"LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "clean\n", run.stderr
