-- How far each student is, kept by triggers from the sessions.
-- depends: 0002_trainers

-- migrate: apply

SELECT 1;

-- migrate: rollback
