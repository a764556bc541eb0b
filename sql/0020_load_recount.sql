-- What the trainers' loads must be, counted anew, and their repair.
-- depends: 0019_trainer_departures

-- migrate: apply

-- Empty, or something wrote past the functions: the trainers whose own load, or that of one of their offers, is not the
-- sum of their live approved allocations. Both change in the same commit, so that any snapshot must agree.
CREATE VIEW load_drift AS
WITH counted AS (
    SELECT trainer_id, sum(weekly_minutes)::integer AS minutes
      FROM trainer_allocations
     WHERE status = 'approved' AND released_at IS NULL
     GROUP BY trainer_id
), offered AS (
    SELECT trainer_id, min(load_minutes) AS least, max(load_minutes) AS most FROM trainer_offers GROUP BY trainer_id
)
SELECT trainer.trainer_id, trainer.load_minutes, offered.least AS offered_least, offered.most AS offered_most,
       COALESCE(counted.minutes, 0) AS expected_minutes
  FROM trainers trainer
  LEFT JOIN counted USING (trainer_id)
  LEFT JOIN offered USING (trainer_id)
 WHERE trainer.load_minutes <> COALESCE(counted.minutes, 0)
    OR offered.least <> COALESCE(counted.minutes, 0)
    OR offered.most <> COALESCE(counted.minutes, 0);

-- Corrects one trainer and tells the load before and after; null: no such trainer. For the owner and superusers.
-- One trainer a transaction, since nobody holds two of them for long. Safe beside running services: whoever changes the
-- load locks the trainer first, and is either counted here or adds to what is counted here.
CREATE FUNCTION recount_load(trainer text, OUT before integer, OUT after integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'recount_load() must see what was committed while it waited: use READ COMMITTED';
    END IF;
    SELECT load_minutes INTO before FROM trainers WHERE trainer_id = trainer FOR NO KEY UPDATE;
    after := (SELECT COALESCE(sum(weekly_minutes), 0) FROM trainer_allocations
               WHERE trainer_id = trainer AND status = 'approved' AND released_at IS NULL);
    UPDATE trainers SET load_minutes = after WHERE trainer_id = trainer AND load_minutes <> after;
    -- Whoever waits for time that is free after all is tried again.
    UPDATE trainer_offers SET load_minutes = after, freed_at = clock_timestamp()
     WHERE trainer_id = trainer AND load_minutes <> after;
END
$$;

GRANT SELECT ON load_drift TO coursepay_operations;

-- migrate: rollback
