-- What each service may do with the tables, and no more. Functions and later tables are granted where they are made.
-- depends: 0005_operations

-- migrate: apply

-- Nobody here writes trainers, trainer_offers, trainer_time_off, trainer_allocations, tutoring_sessions or
-- student_course_progress: functions and triggers of the owner do.

GRANT SELECT ON trainers, trainer_offers, trainer_time_off, trainer_allocations, tutoring_sessions,
    student_course_progress, student_course_purchases
    TO coursepay_gateway, coursepay_assignment_worker, coursepay_operations;
GRANT SELECT, INSERT, UPDATE ON courses, payments, payment_tasks, provider_sweeps TO coursepay_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON course_prices, outbox, idempotency_keys TO coursepay_gateway;
GRANT SELECT, INSERT ON orders, payment_facts, holidays, audit_log TO coursepay_gateway;
GRANT SELECT, UPDATE (last_used_at) ON api_keys TO coursepay_gateway;
GRANT SELECT ON purchase_adjustments, notifications TO coursepay_gateway;
GRANT SELECT, INSERT, UPDATE ON student_course_purchases, purchase_adjustments TO coursepay_purchase_worker;
-- `coursepay import purchases` acts as the purchase worker, and checks that the courses exist.
GRANT SELECT ON courses TO coursepay_purchase_worker;

-- The outbox is for decisions that no record caused: pendings tried again. All else is written by functions.
GRANT SELECT ON courses, holidays, purchase_adjustments TO coursepay_assignment_worker;
GRANT SELECT, INSERT ON outbox TO coursepay_assignment_worker;
GRANT SELECT, INSERT, UPDATE ON notifications TO coursepay_notifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON worker_crashes
    TO coursepay_purchase_worker, coursepay_assignment_worker, coursepay_notifier;
GRANT SELECT ON courses, course_prices, holidays, orders, payments, payment_facts, outbox, payment_tasks,
    purchase_adjustments, notifications, worker_crashes
    TO coursepay_operations;
GRANT SELECT ON provider_sweeps TO coursepay_operations;
GRANT SELECT, INSERT, UPDATE ON dead_letters, dead_letter_topics, replay_runs, replay_items, api_keys
    TO coursepay_operations;
GRANT SELECT, INSERT ON audit_log TO coursepay_operations;
GRANT INSERT ON outbox TO coursepay_operations;

-- migrate: rollback
