"""Each CHECK constraint meets a row that it refuses, beside a valid row that differs in that only."""

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from tests.support.rows import FIRST_SESSION, NOW, VALID, Connection, insert

NOT_AN_ID = "no id"
TOO_MUCH = 10**15 + 1

# table, what is wrong, the constraint that says so
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("courses", {"course_id": "x" * 65}, "course_id_is_an_id"),
    ("courses", {"calendar": "India"}, "calendar_is_a_country"),
    ("course_prices", {"purchase_tier": 15}, "purchase_tier_is_known"),
    ("course_prices", {"amount_minor": 0}, "amount_minor_is_money"),
    ("course_prices", {"currency": "rupees"}, "currency_is_a_code"),
    ("holidays", {"calendar": "in"}, "calendar_is_a_country"),
    ("orders", {"order_id": ""}, "order_id_is_an_id"),
    ("orders", {"order_id": "ord_1\n"}, "order_id_is_an_id"),
    ("orders", {"provider": NOT_AN_ID}, "provider_is_an_id"),
    ("orders", {"provider_order_id": ""}, "provider_order_id_has_a_length"),
    ("orders", {"student_id": NOT_AN_ID}, "student_id_is_an_id"),
    ("orders", {"course_id": NOT_AN_ID}, "course_id_is_an_id"),
    ("orders", {"purchase_tier": 0}, "purchase_tier_is_known"),
    ("orders", {"amount_minor": -1}, "amount_minor_is_money"),
    ("orders", {"currency": "inr"}, "currency_is_a_code"),
    ("orders", {"schedule": "[]"}, "schedule_is_an_object"),
    ("orders", {"metadata": '"text"'}, "metadata_is_an_object"),
    ("payments", {"provider": NOT_AN_ID}, "provider_is_an_id"),
    ("payments", {"status": "paid", "payment_id": "pay_1", "confirmed_at": NOW}, "status_is_known"),
    ("payments", {"amount_minor": TOO_MUCH}, "amount_minor_is_money"),
    ("payments", {"currency": "IN"}, "currency_is_a_code"),
    ("payments", {"refunded_minor": 500_001}, "refund_is_at_most_the_amount"),
    ("payments", {"refunded_minor": -1}, "refund_is_at_most_the_amount"),
    ("payments", {"sequence": -1}, "sequence_grows"),
    ("payments", {"status": "review", "payment_id": "pay_1"}, "accepted_at_once"),
    ("payments", {"status": "succeeded", "payment_id": NOT_AN_ID, "confirmed_at": NOW}, "payment_id_is_an_id"),
    ("payments", {"status": "succeeded"}, "status_fits_acceptance"),
    ("payments", {"status": "refunded"}, "status_fits_acceptance"),
    ("payments", {"status": "failed", "payment_id": "pay_1", "confirmed_at": NOW}, "status_fits_acceptance"),
    ("payment_facts", {"provider": NOT_AN_ID}, "provider_is_an_id"),
    ("payment_facts", {"source": "rumour"}, "source_is_known"),
    ("payment_facts", {"provider_event_id": ""}, "provider_event_id_has_a_length"),
    ("payment_facts", {"event": ""}, "event_has_a_length"),
    ("payment_facts", {"body_sha256": b"short"}, "body_sha256_is_a_digest"),
    ("outbox", {"order_id": NOT_AN_ID}, "order_id_is_an_id"),
    ("outbox", {"order_seq": 0}, "order_seq_counts"),
    ("outbox", {"type": "payment.succeeded"}, "type_is_a_name"),
    ("outbox", {"version": 0}, "version_counts"),
    ("outbox", {"traceparent": "0" * 129}, "traceparent_is_short"),
    ("outbox", {"attempts": -1}, "attempts_count"),
    ("outbox", {"lease_until": NOW}, "a_lease_has_a_token"),
    ("payment_tasks", {"kind": "wish"}, "kind_is_known"),
    ("payment_tasks", {"detail": "[]"}, "detail_is_an_object"),
    ("payment_tasks", {"attempts": -1}, "attempts_count"),
    ("payment_tasks", {"lease_until": NOW}, "a_lease_has_a_token"),
    ("idempotency_keys", {"key": ""}, "key_has_a_length"),
    ("idempotency_keys", {"status": 42, "body": b""}, "status_is_http"),
    ("idempotency_keys", {"status": 201}, "finished_with_an_answer"),
    ("student_course_purchases", {"order_id": NOT_AN_ID}, "order_id_is_an_id"),
    ("student_course_purchases", {"student_id": NOT_AN_ID}, "student_id_is_an_id"),
    ("student_course_purchases", {"course_id": NOT_AN_ID}, "course_id_is_an_id"),
    ("student_course_purchases", {"purchase_tier": 11}, "purchase_tier_is_known"),
    ("student_course_purchases", {"sessions_total": 11}, "sessions_total_is_at_most_the_tier"),
    ("student_course_purchases", {"sessions_total": -1}, "sessions_total_is_at_most_the_tier"),
    ("student_course_purchases", {"status": "paused"}, "status_is_known"),
    ("student_course_purchases", {"metadata": "[]"}, "metadata_is_an_object"),
    ("student_course_purchases", {"applied_sequence": -2}, "applied_sequence_grows"),
    ("student_course_purchases", {"expiry_date": NOW}, "expires_after_purchase"),
    ("purchase_adjustments", {"order_id": NOT_AN_ID}, "order_id_is_an_id"),
    ("purchase_adjustments", {"sequence": -1}, "sequence_grows"),
    ("purchase_adjustments", {"status": "gone"}, "status_is_known"),
    ("purchase_adjustments", {"amount_minor": -1}, "amount_minor_is_money"),
    ("purchase_adjustments", {"refunded_minor": -1}, "refunded_minor_is_money"),
    ("purchase_adjustments", {"currency": ""}, "currency_is_a_code"),
    ("purchase_adjustments", {"purchase_status": "paused", "sessions_total": 1}, "purchase_status_is_known"),
    ("purchase_adjustments", {"purchase_status": "active", "sessions_total": -1}, "sessions_total_counts"),
    ("purchase_adjustments", {"purchase_status": "active"}, "applied_as_a_whole"),
    ("notifications", {"channel": "pigeon"}, "channel_is_known"),
    ("notifications", {"order_id": NOT_AN_ID}, "order_id_is_an_id"),
    ("notifications", {"student_id": NOT_AN_ID}, "student_id_is_an_id"),
    ("notifications", {"event_type": "x"}, "event_type_is_a_name"),
    ("notifications", {"status": "sending"}, "status_is_known"),
    ("notifications", {"status": "failed"}, "failed_with_an_error"),
    ("worker_crashes", {"kafka_partition": -1}, "kafka_partition_counts"),
    ("worker_crashes", {"committed_offset": -2}, "committed_offset_counts"),
    ("worker_crashes", {"unclean_starts": -1}, "unclean_starts_count"),
    ("worker_crashes", {"marked_offset": -1}, "marked_offset_counts"),
    ("worker_crashes", {"mark_crashes": -1}, "mark_crashes_count"),
    ("trainers", {"trainer_id": NOT_AN_ID}, "trainer_id_is_an_id"),
    ("trainers", {"gender": "other"}, "gender_is_known"),
    ("trainers", {"modes": []}, "modes_are_known"),
    ("trainers", {"modes": ["by post"]}, "modes_are_known"),
    ("trainers", {"latitude": 91.0, "longitude": 0.0}, "latitude_is_on_earth"),
    ("trainers", {"latitude": 0.0, "longitude": -181.0}, "longitude_is_on_earth"),
    ("trainers", {"latitude": 0.0}, "place_has_both_coordinates"),
    ("trainers", {"travel_radius_km": -1.0}, "travel_radius_is_a_distance"),
    ("trainers", {"weekly_capacity_minutes": 10_081}, "capacity_fits_in_a_week"),
    ("trainers", {"weekly_slots": "{}"}, "weekly_slots_is_a_list"),
    ("trainers", {"load_minutes": -1}, "load_is_not_negative"),
    ("trainers", {"version": 0}, "version_counts"),
    ("trainers", {"modes": ["in_person"]}, "in_person_needs_a_place_and_a_radius"),
    ("trainer_offers", {"course_id": NOT_AN_ID}, "course_id_is_an_id"),
    ("trainer_offers", {"gender": "other"}, "gender_is_known"),
    ("trainer_offers", {"load_minutes": -1}, "load_is_not_negative"),
    ("trainer_offers", {"in_person": True}, "in_person_needs_a_place_and_a_radius"),
    ("trainer_time_off", {"ends_at": NOW}, "ends_after_start"),
    ("trainer_departures", {"planned": -1}, "planned_counts"),
    ("trainer_departures", {"plan": "dismiss"}, "plan_is_known"),
    ("trainer_departure_items", {"result": "lost"}, "result_is_known"),
    ("trainer_departure_items", {"result": "failed"}, "a_failure_has_its_error"),
    ("trainer_allocations", {"student_id": NOT_AN_ID}, "student_id_is_an_id"),
    ("trainer_allocations", {"course_id": NOT_AN_ID}, "course_id_is_an_id"),
    ("trainer_allocations", {"trainer_id": NOT_AN_ID}, "trainer_id_is_an_id"),
    ("trainer_allocations", {"status": "offered"}, "status_is_known"),
    ("trainer_allocations", {"reason": '"because"'}, "reason_is_an_object"),
    ("trainer_allocations", {"revision": 0}, "revision_counts"),
    ("trainer_allocations", {"weekly_minutes": -1}, "weekly_minutes_count"),
    ("trainer_allocations", {"session_count": -1}, "session_count_counts"),
    ("trainer_allocations", {"trainer_id": None}, "approved_has_a_trainer"),
    ("tutoring_sessions", {"sequence_no": 0}, "sequence_no_counts"),
    ("tutoring_sessions", {"trainer_id": NOT_AN_ID}, "trainer_id_is_an_id"),
    ("tutoring_sessions", {"student_id": NOT_AN_ID}, "student_id_is_an_id"),
    ("tutoring_sessions", {"course_id": NOT_AN_ID}, "course_id_is_an_id"),
    ("tutoring_sessions", {"travel_minutes": -1}, "travel_is_short"),
    ("tutoring_sessions", {"status": "held"}, "status_is_known"),
    ("tutoring_sessions", {"starts_at": FIRST_SESSION, "ends_at": FIRST_SESSION}, "lasts_up_to_eight_hours"),
    (
        "tutoring_sessions",
        {"starts_at": FIRST_SESSION, "ends_at": FIRST_SESSION + timedelta(hours=8, seconds=1)},
        "lasts_up_to_eight_hours",
    ),
    ("dead_letters", {"kafka_partition": -1}, "kafka_partition_counts"),
    ("dead_letters", {"kafka_offset": -1}, "kafka_offset_counts"),
    ("dead_letters", {"error_kind": "odd"}, "error_kind_is_known"),
    ("dead_letters", {"retry_attempt": -1}, "retry_attempt_counts"),
    ("dead_letters", {"replay_count": -1}, "replay_count_counts"),
    ("dead_letters", {"status": "forgotten", "settled_at": NOW}, "status_is_known"),
    ("dead_letters", {"status": "resolved"}, "settled_at_some_time"),
    ("audit_log", {"actor": ""}, "actor_is_named"),
    ("audit_log", {"action": "approve"}, "action_is_noun_dot_verb"),
    ("api_keys", {"id": NOT_AN_ID}, "id_is_an_id"),
    ("api_keys", {"key_sha256": b"the key itself"}, "key_sha256_is_a_digest"),
    ("api_keys", {"roles": []}, "roles_are_some"),
]


async def test_the_rows_beside_the_bad_ones_are_good(connection: Connection) -> None:
    for table in VALID:
        assert await insert(connection, table)


async def test_every_bad_row_is_refused_by_the_constraint_that_names_what_is_wrong(
    connection: Connection,
) -> None:
    for table, wrong, constraint in BAD:
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await insert(connection, table, **wrong)
        assert refused.value.constraint_name == constraint, (table, wrong)
        assert refused.value.table_name == table


async def test_no_constraint_is_left_out(connection: Connection) -> None:
    """Of the tables that this file knows. The completion's time is tested where it is written."""
    rows = await connection.fetch(
        """
        SELECT conrelid::regclass::text AS table, conname AS constraint FROM pg_constraint
         WHERE contype = 'c' AND conrelid::regclass::text = ANY ($1)
        """,
        list(VALID),
    )
    tested = {(table, constraint) for table, _, constraint in BAD} | {("tutoring_sessions", "completed_at_some_time")}
    assert {(row["table"], row["constraint"]) for row in rows} == tested
