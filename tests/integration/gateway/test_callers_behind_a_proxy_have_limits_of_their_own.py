from pathlib import Path

import aiohttp

from services.gateway_api.limits import BAD_CREDENTIALS_MAX, BAD_SIGNATURES_MAX
from tests.support.checkout import CONFIRM
from tests.support.gateway import Gateway, running_gateway

PENDING = "/api/v1/admin/allocations?status=pending"
FORGED = {
    "razorpay_order_id": "order_1",
    "razorpay_payment_id": "pay_1",
    "razorpay_signature": "0" * 64,
}
PROXY, STRANGER = "127.0.0.1", "127.0.0.2"


async def guess(gateway: Gateway, connect_from: aiohttp.ClientSession, *forwarded: str) -> int:
    headers = [("Authorization", "Bearer guessed"), *(("X-Forwarded-For", line) for line in forwarded)]
    async with connect_from.get(gateway.url + PENDING, headers=headers) as answer:
        return answer.status


async def forge(gateway: Gateway, connect_from: aiohttp.ClientSession, forwarded: str) -> int:
    headers = {"X-Forwarded-For": forwarded}
    async with connect_from.post(gateway.url + CONFIRM, json=FORGED, headers=headers) as answer:
        return answer.status


def session_at(address: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(address, 0)))


async def test_two_callers_behind_one_proxy_are_counted_apart_and_a_stranger_is_who_connects(
    database_url: str, tmp_path: Path
) -> None:
    async with (
        running_gateway(database_url, tmp_path, trusted_proxies=PROXY) as gateway,
        session_at(PROXY) as proxy,
        session_at(STRANGER) as stranger,
    ):
        # What the caller wrote itself stands on the left, in a line of its own or not.
        for number in range(BAD_CREDENTIALS_MAX):
            assert await guess(gateway, proxy, f"198.51.100.{number}", "203.0.113.1") == 401
        assert await guess(gateway, proxy, "203.0.113.1") == 429
        assert await guess(gateway, proxy, "203.0.113.1, 203.0.113.2") == 401
        assert await guess(gateway, proxy) == 401

        for number in range(BAD_CREDENTIALS_MAX):
            assert await guess(gateway, stranger, f"198.51.100.{number}") == 401
        assert await guess(gateway, stranger, "198.51.100.200") == 429
        assert await guess(gateway, proxy, "198.51.100.200") == 401


async def test_bad_signatures_are_counted_for_the_caller_behind_the_proxy(database_url: str, tmp_path: Path) -> None:
    async with (
        running_gateway(database_url, tmp_path, trusted_proxies=f"192.0.2.0/24, {PROXY}") as gateway,
        session_at(PROXY) as proxy,
    ):
        for _ in range(BAD_SIGNATURES_MAX):
            assert await forge(gateway, proxy, "203.0.113.1, 192.0.2.9") == 401
        assert await forge(gateway, proxy, "203.0.113.1") == 429
        assert await forge(gateway, proxy, "203.0.113.2") == 401
