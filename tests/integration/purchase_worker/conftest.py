from collections.abc import AsyncIterator

import pytest

from services.common.database import Database, open_database
from services.common.settings import Settings
from services.purchase_worker.handler import PurchaseHandler
from tests.support.purchases import PurchaseDesk


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Acting as the purchase worker, so that its grants are tried too."""
    settings = Settings.from_environment(database_url=database_url)
    async with open_database(settings, role="coursepay_purchase_worker", application="test") as database:
        yield database


@pytest.fixture
def desk(database: Database) -> PurchaseDesk:
    return PurchaseDesk(database, PurchaseHandler(Settings().expiry_days_by_tier))
