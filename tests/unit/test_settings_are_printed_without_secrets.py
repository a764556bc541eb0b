"""`coursepay settings`: everything by name, nothing secret."""

from pathlib import Path

import orjson

from services.common.settings import PREFIX, Settings
from tests.support.command import run_coursepay


def test_every_setting_is_there_and_secrets_are_masked(tmp_path: Path) -> None:
    secrets = {
        "database_url": "postgresql://somebody:hush@127.0.0.1/x",
        "razorpay_key_secrets": "hush-1,hush-2",
        "kafka_sasl_password": "hush-3",
    }
    for arguments in (["settings"], ["settings", "--json"]):
        told = run_coursepay(*arguments, directory=tmp_path, gateway_port="9999", **secrets)
        assert told.returncode == 0, told.stderr
        assert "hush" not in told.stdout + told.stderr
    rows = {row["name"]: row for row in orjson.loads(told.stdout)}
    assert set(rows) == {PREFIX + name.upper() for name in Settings.model_fields}
    assert (rows["COURSEPAY_GATEWAY_PORT"]["value"], rows["COURSEPAY_GATEWAY_PORT"]["default"]) == ("9999", "8080")
    assert rows["COURSEPAY_DATABASE_URL"]["value"] == "********"
    assert rows["COURSEPAY_STRIPE_API_KEY"]["value"] == ""


def test_a_wrong_value_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    told = run_coursepay("settings", directory=tmp_path, retry_delays="soon")
    assert told.returncode == 2
    assert told.stderr.count("\n") == 1
    assert "COURSEPAY_RETRY_DELAYS" in told.stderr
