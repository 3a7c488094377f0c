"""A daemon's template is read whole or refused with a sentence; it never crashes us."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millpond.chains.coins import coin_named
from millpond.mining.work import InvalidTemplateError, Template
from tests.mining.work.gbt import COMMITMENT, gbt, transaction

BITCOIN = coin_named("bitcoin")
LITECOIN = coin_named("litecoin")


def test_a_full_template_is_read_as_it_was_given():
    template = Template.from_gbt(
        gbt(rules=["segwit", "!mweb"], mweb="aabb", maxtime=1_700_009_000, coinbaseaux={"flags": "0102"}),
        LITECOIN,
    )  # fmt: skip
    assert template.height == 800_000
    assert template.prev_hash == bytes.fromhex("ab" * 22)[::-1] + bytes.fromhex("01") + bytes(9)
    assert template.bits == 0x207FFFFF
    assert template.network_target == 0x7FFFFF << 232
    assert template.coinbase_flags == b"\x01\x02"
    assert template.extension_block == b"\xaa\xbb"
    assert template.witness_commitment == bytes.fromhex(COMMITMENT)
    assert template.maxtime == 1_700_009_000
    assert template.rules == ("segwit", "mweb")
    assert [t.data.hex() for t in template.transactions] == [
        transaction(n)["data"] for n in range(3)
    ]


def test_identities_of_transactions_come_from_txid_and_not_from_data():
    entry = transaction(1) | {"txid": "12" * 31 + "34"}
    template = Template.from_gbt(gbt(transactions=[entry]), BITCOIN)
    assert template.transactions[0].txid_le == bytes.fromhex("34" + "12" * 31)


def test_negative_versions_are_the_same_32_bits():
    assert Template.from_gbt(gbt(version=-1), BITCOIN).version == 0xFFFFFFFF


def test_a_template_without_optional_fields_is_enough():
    optional = [
        "rules",
        "coinbaseaux",
        "longpollid",
        "target",
        "mintime",
        "default_witness_commitment",
    ]
    template = Template.from_gbt(gbt(**dict.fromkeys(optional, ...)), BITCOIN)
    assert (template.mintime, template.maxtime, template.rules) == (0, None, ())
    assert template.witness_commitment is None


NONSENSE = [
    {"version": ...}, {"version": "1"}, {"version": True}, {"version": 1 << 32}, {"version": 1.0},
    {"height": ...}, {"height": 0}, {"height": 1 << 40}, {"height": None},
    {"previousblockhash": ...}, {"previousblockhash": "00"}, {"previousblockhash": "zz" * 32},
    {"previousblockhash": 5}, {"previousblockhash": "a " * 32},
    {"transactions": ...}, {"transactions": {}}, {"transactions": ["00"]}, {"transactions": [None]},
    {"transactions": [{"data": "00" * 60}]}, {"transactions": [{"txid": "00" * 32}]},
    {"transactions": [transaction(1) | {"data": ""}]},
    {"transactions": [transaction(1) | {"txid": "00" * 31}]},
    {"transactions": [transaction(1) | {"fee": "1"}]},
    {"transactions": [transaction(1)] * 100_001},
    {"transactions": [transaction(1) | {"data": "00" * 4_500_000}] * 2},
    {"coinbasevalue": ...}, {"coinbasevalue": -1}, {"coinbasevalue": 1 << 63}, {"coinbasevalue": "5"},
    {"coinbasevalue": 5.0},
    {"bits": ...}, {"bits": "00"}, {"bits": "20ffffff"}, {"bits": "ff7fffff"}, {"bits": "00000000"},
    {"bits": "03000001", "target": "00" * 31 + "01"}, {"bits": "0f010000", "target": ...},
    {"target": "00" * 32}, {"target": "7fffff" + "00" * 28 + "01"},
    {"curtime": ...}, {"curtime": -1}, {"curtime": 1 << 33}, {"mintime": 1_700_000_601},
    {"maxtime": 1_700_000_599}, {"mintime": "1"},
    {"coinbaseaux": "flags"}, {"coinbaseaux": {"flags": 3}}, {"coinbaseaux": {"flags": "00" * 81}},
    {"coinbaseaux": {"a": "00" * 50, "b": "00" * 50}}, {"coinbaseaux": {str(i): "" for i in range(99)}},
    {"default_witness_commitment": "00" * 38}, {"default_witness_commitment": "6a24aa21a9ed"},
    {"mweb": "aabb"}, {"longpollid": 3}, {"longpollid": "x" * 2000},
    {"rules": "segwit"}, {"rules": [3]}, {"rules": ["!novel"]}, {"rules": ["!mweb"]}, {"rules": ["a"] * 99},
]  # fmt: skip


@pytest.mark.parametrize("change", NONSENSE, ids=lambda change: str(change)[:40])
def test_nonsense_is_refused_with_a_plain_sentence(change):
    with pytest.raises(InvalidTemplateError) as caught:
        Template.from_gbt(gbt(**change), BITCOIN)
    assert caught.value.code == "invalid_template"
    assert "template" in caught.value.message


def test_an_unknown_rule_without_the_mark_is_no_obstacle():
    assert Template.from_gbt(gbt(rules=["novel"]), BITCOIN).rules == ("novel",)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children)
    ),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(gbt())), json_values, max_size=3))
def test_any_json_in_any_field_is_read_or_refused(changes):
    document = gbt() | json.loads(json.dumps(changes))
    outcome: Template | str
    try:
        outcome = Template.from_gbt(document, BITCOIN)
    except InvalidTemplateError as error:
        outcome = error.message
    assert outcome


@pytest.mark.parametrize("document", [None, [], "x", 5])
def test_a_document_that_is_no_object_is_refused(document):
    with pytest.raises(InvalidTemplateError):
        Template.from_gbt(document, BITCOIN)
