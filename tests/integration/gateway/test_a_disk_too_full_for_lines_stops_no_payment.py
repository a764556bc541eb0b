from pathlib import Path

from services.common.settings import Settings
from tests.support.gateway_process import gateway_process


async def test_confirmations_go_on_and_the_process_lives(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "gateway.log").symlink_to("/dev/full")
    async with gateway_process(settings, tmp_path, orders=20) as gateway:
        assert [await gateway.confirm(number) for number in range(1, 21)] == [200] * 20
        async with gateway.http.get(f"http://127.0.0.1:{gateway.port}/health/ready") as answer:
            assert answer.status == 200
