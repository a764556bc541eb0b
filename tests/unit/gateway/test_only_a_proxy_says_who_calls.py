from ipaddress import ip_address

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import example, given
from hypothesis import strategies as st

from services.common.errors import ConfigurationError
from services.common.setting_kinds import parse_networks
from services.common.settings import Settings
from services.gateway_api.callers.addresses import choose_address, finding_address
from services.gateway_api.limits import PROXIES_MAX

TRUSTED = parse_networks("198.51.100.0/24, 2001:db8:1::/48, 192.0.2.7")
PROXY, OTHER_PROXY = "198.51.100.9", "2001:db8:1::9"

anybody = st.ip_addresses().filter(lambda address: not any(address in network for network in TRUSTED)).map(str)
proxies = st.sampled_from([PROXY, OTHER_PROXY, "192.0.2.7", "::ffff:198.51.100.9"])
# As aiohttp hands on the bytes of a header: those that are no UTF-8 become surrogates.
made_up = st.one_of(
    st.lists(st.one_of(anybody, proxies), max_size=12).map(", ".join),
    st.binary(max_size=200).map(lambda content: content.decode(errors="surrogateescape")),
    st.text(alphabet="0123456789abcdef.:,% /[]\t", max_size=60),
)


@given(peer=anybody, forwarded=st.lists(made_up, max_size=3))
def test_who_is_no_proxy_cannot_choose_an_address(peer: str, forwarded: list[str]) -> None:
    assert choose_address(peer, forwarded, TRUSTED) == peer


@given(peer=proxies, caller=anybody, behind=st.lists(proxies, max_size=PROXIES_MAX - 1), before=st.lists(made_up))
def test_behind_proxies_the_last_who_is_none_is_the_caller_whatever_he_wrote_before(
    peer: str, caller: str, behind: list[str], before: list[str]
) -> None:
    own_line = ", ".join([caller, *behind])
    chosen = ip_address(choose_address(peer, [*before, own_line], TRUSTED))
    one_line = ip_address(choose_address(peer, [",".join([*before, own_line])], TRUSTED))
    assert chosen == one_line == _plain(caller)


@given(peer=proxies, forwarded=st.lists(made_up, max_size=3))
@example(peer=PROXY, forwarded=["9" * 100_000])
@example(peer=PROXY, forwarded=["," * 100_000])
@example(peer=PROXY, forwarded=["203.0.113.9, " + ", ".join([PROXY] * 10_000)])
def test_what_stands_in_a_header_gives_an_address_or_the_peers(peer: str, forwarded: list[str]) -> None:
    chosen = choose_address(peer, forwarded, TRUSTED)
    assert chosen == peer or chosen == str(ip_address(chosen))
    assert "%" not in chosen


@pytest.mark.parametrize(
    "nonsense",
    [
        "", " ", "unknown", "203.0.113.9:4711", "[2001:db8::9]", "fe80::1%eth0", "2001:db8::9%" + "z" * 500,
        "203.0.113", "203.0.113.09", "3405803785", "0x7f.1", "203.0.113.9\x00", "\udcff", "٢.٢.٢.٢", "_hidden",
    ],
)  # fmt: skip
def test_a_proxys_nonsense_is_the_proxys(nonsense: str) -> None:
    assert choose_address(PROXY, [nonsense], TRUSTED) == PROXY
    assert choose_address(PROXY, [f"203.0.113.9, {nonsense}"], TRUSTED) == PROXY
    assert choose_address(PROXY, [f"{nonsense}, 203.0.113.9"], TRUSTED) == "203.0.113.9"


def test_without_the_header_and_among_proxies_alone_it_is_the_peer() -> None:
    assert choose_address(PROXY, [], TRUSTED) == PROXY
    assert choose_address(PROXY, [f"{OTHER_PROXY}, 192.0.2.7"], TRUSTED) == PROXY
    assert choose_address("", ["203.0.113.9"], TRUSTED) == ""


def test_proxies_may_stand_behind_one_another_so_many_times_and_no_more() -> None:
    for proxies_behind, expected in ((PROXIES_MAX - 1, "203.0.113.9"), (PROXIES_MAX, PROXY)):
        header = ", ".join(["203.0.113.9", *[OTHER_PROXY] * proxies_behind])
        assert choose_address(PROXY, [header], TRUSTED) == expected


def test_a_caller_is_the_same_however_a_socket_or_a_proxy_writes_the_address() -> None:
    assert choose_address("::ffff:198.51.100.9", ["::ffff:203.0.113.9"], TRUSTED) == "203.0.113.9"
    assert choose_address(PROXY, ["2001:0DB8:0::0:0009"], TRUSTED) == "2001:db8::9"


def test_every_line_of_the_header_is_read_and_none_when_no_proxy_is_trusted() -> None:
    request = make_mocked_request("GET", "/", headers=[("X-Forwarded-For", "x"), ("X-Forwarded-For", "203.0.113.9")])
    proxied = request.clone(remote=PROXY)
    assert finding_address(TRUSTED)(proxied) == "203.0.113.9"
    assert finding_address(())(proxied) == PROXY


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("banana", "'banana' does not appear to be an IPv4 or IPv6 network"),
        ("198.51.100.0/24, 192.0.2.1/24", "192.0.2.1/24 has host bits set"),
        ("0.0.0.0/0", "0.0.0.0/0 is everybody; name the networks of the proxies alone"),
        ("::/0", "::/0 is everybody"),
    ],
)
def test_what_is_no_network_stops_the_start(value: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"COURSEPAY_TRUSTED_PROXIES: .*{says}"):
        Settings.from_environment(trusted_proxies=value)


def test_no_proxy_is_trusted_unless_the_setting_names_it() -> None:
    assert Settings.from_environment().trusted_proxy_networks == ()
    named = Settings.from_environment(trusted_proxies=" 198.51.100.0/24, 2001:db8:1::/48,192.0.2.7,")
    assert named.trusted_proxy_networks == TRUSTED


def _plain(address: str) -> object:
    parsed = ip_address(address)
    return getattr(parsed, "ipv4_mapped", None) or parsed
