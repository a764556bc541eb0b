"""Whose address a request counts for, when a proxy stands in front.

Anybody may write X-Forwarded-For. What a proxy of ours has appended to it is true, and that stands on the right: the
last address there that is no proxy's is the caller's. Whatever is left of it the caller may have made up.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp import hdrs, web

from services.common.setting_kinds import Network
from services.gateway_api.limits import PROXIES_MAX

AddressOf = Callable[[web.Request], str]
_CHARACTERS_MAX = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")


def finding_address(trusted: Sequence[Network]) -> AddressOf:
    """Nothing is read or compared when no proxy is trusted."""
    if not trusted:
        return _peer_of

    def address_of(request: web.Request) -> str:
        return choose_address(_peer_of(request), request.headers.getall(hdrs.X_FORWARDED_FOR, ()), trusted)

    return address_of


def choose_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """`forwarded`: the header's lines in their order. The peer's own address when it is no proxy, and when the header
    names no caller that could be believed: a proxy that writes nonsense shares its limits among its callers.
    """
    if not _is_trusted(_parse(peer.partition("%")[0]), trusted):
        return peer
    hops = ",".join(forwarded).rsplit(",", PROXIES_MAX)
    for hop in reversed(hops[-PROXIES_MAX:]):
        address = _parse(hop.strip(" \t"))
        if address is None:
            return peer
        if not _is_trusted(address, trusted):
            return str(address)
    return peer


def _peer_of(request: web.Request) -> str:
    return request.remote or ""


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """None for a zone too: it has a meaning on one machine only, and is of any length."""
    if len(text) > _CHARACTERS_MAX or "%" in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # As a socket for both kinds tells of a caller with an IPv4 address.
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def _is_trusted(address: IPv4Address | IPv6Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)
