-- How far each student is: counted by triggers, closed to everyone else.
-- depends: 0002_purchases_and_trainers

-- migrate: apply

-- Each statement on tutoring_sessions adds what it changed. Counting the sessions anew instead loses updates: two
-- completions at once do not see each other, and the later one overwrites the earlier. Deltas commute.
-- The first wall is that services hold SELECT only; the guard below also stops the owner and superusers, who would
-- otherwise write past the count by mistake. drift and rebuild are for the day when somebody got past both.

-- Whoever completes a session need not know that the time is kept.
CREATE FUNCTION note_completion() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.completed_at := CASE WHEN NEW.status = 'completed' THEN clock_timestamp() END;
    RETURN NEW;
END $$;

CREATE TRIGGER completion_is_noted BEFORE INSERT OR UPDATE ON tutoring_sessions
FOR EACH ROW WHEN ((NEW.status = 'completed') <> (NEW.completed_at IS NOT NULL))
EXECUTE FUNCTION note_completion();

-- Counts would stay with the purchase that they were added to.
CREATE FUNCTION refuse_another_owner() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% cannot be given to another purchase, student or course', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER allocation_stays_with_its_purchase BEFORE UPDATE OF purchase_id ON trainer_allocations
FOR EACH ROW WHEN (OLD.purchase_id <> NEW.purchase_id)
EXECUTE FUNCTION refuse_another_owner();

CREATE TRIGGER purchase_stays_with_its_student BEFORE UPDATE OF id, student_id, course_id ON student_course_purchases
FOR EACH ROW WHEN ((OLD.id, OLD.student_id, OLD.course_id) <> (NEW.id, NEW.student_id, NEW.course_id))
EXECUTE FUNCTION refuse_another_owner();

-- Only functions that belong to the owner *and* say what they are about to do pass. Neither pg_trigger_depth() nor
-- current_user alone would do: any trigger has a depth, and the owner is a role that people take.
CREATE FUNCTION refuse_direct_progress() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_user = 'coursepay_owner' AND current_setting('coursepay.progress_writer', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'student_course_progress is written by its triggers only'
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Change tutoring_sessions; rebuild_progress() corrects a drift.';
END $$;

CREATE TRIGGER only_triggers_write BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON student_course_progress
FOR EACH STATEMENT EXECUTE FUNCTION refuse_direct_progress();

-- Else session_replication_role = replica would open the door.
ALTER TABLE student_course_progress ENABLE ALWAYS TRIGGER only_triggers_write;

-- One purchase's share of a statement. undone: some completion was taken back, so that the last one must be looked up.
CREATE FUNCTION add_progress(purchase uuid, delta integer, latest timestamptz, undone boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM set_config('coursepay.progress_writer', 'on', true);
    UPDATE student_course_progress
       SET sessions_completed = sessions_completed + delta,
           last_completed_at = greatest(last_completed_at, latest),
           updated_at = clock_timestamp()
     WHERE purchase_id = purchase;
    IF NOT FOUND AND delta > 0 THEN
        -- FOR SHARE: a change of sessions_total that runs meanwhile either is waited for, or waits and finds the row.
        INSERT INTO student_course_progress AS progress
            (purchase_id, student_id, course_id, sessions_total, sessions_completed, last_completed_at)
        SELECT id, student_id, course_id, sessions_total, delta, latest
          FROM student_course_purchases WHERE id = purchase FOR SHARE
        ON CONFLICT (purchase_id) DO UPDATE
           SET sessions_completed = progress.sessions_completed + excluded.sessions_completed,
               last_completed_at = greatest(progress.last_completed_at, excluded.last_completed_at),
               updated_at = clock_timestamp();
    END IF;
    IF undone THEN
        -- A statement of its own, after the row is locked: it sees what others committed before.
        UPDATE student_course_progress
           SET last_completed_at = (
                   SELECT max(held.completed_at)
                     FROM tutoring_sessions held
                     JOIN trainer_allocations allocation ON allocation.id = held.allocation_id
                    WHERE allocation.purchase_id = purchase AND held.status = 'completed')
         WHERE purchase_id = purchase;
    END IF;
    PERFORM set_config('coursepay.progress_writer', 'off', true);
END $$;

CREATE FUNCTION count_progress() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    changed_allocations uuid[];
    changed_times timestamptz[];
    weights integer[];
    share record;
BEGIN
    -- Completed rows of NEW count +1 and of OLD -1; a row that did not change its completion cancels itself out.
    -- Grouped and not joined by id: transition tables have no statistics, and a join of two is quadratic.
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(allocation_id), array_agg(completed_at), array_agg(1)
          INTO changed_allocations, changed_times, weights
          FROM new_rows WHERE status = 'completed';
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(allocation_id), array_agg(completed_at), array_agg(-1)
          INTO changed_allocations, changed_times, weights
          FROM old_rows WHERE status = 'completed';
    ELSE
        SELECT array_agg(allocation_id), array_agg(completed_at), array_agg(weight)
          INTO changed_allocations, changed_times, weights
          FROM (SELECT allocation_id, completed_at, sum(weight)::integer AS weight
                  FROM (SELECT allocation_id, completed_at, 1 AS weight FROM new_rows WHERE status = 'completed'
                        UNION ALL
                        SELECT allocation_id, completed_at, -1 FROM old_rows WHERE status = 'completed') AS both_sides
                 GROUP BY allocation_id, completed_at
                HAVING sum(weight) <> 0) AS changes;
    END IF;
    IF changed_allocations IS NULL THEN
        RETURN NULL;
    END IF;
    -- In the order of the keys, so that two bulk statements do not deadlock.
    FOR share IN
        SELECT allocation.purchase_id, sum(weight)::integer AS delta, bool_or(weight < 0) AS undone,
               max(completed_at) FILTER (WHERE weight > 0) AS latest
          FROM unnest(changed_allocations, changed_times, weights) AS changes (allocation_id, completed_at, weight)
          JOIN trainer_allocations allocation ON allocation.id = changes.allocation_id
         GROUP BY allocation.purchase_id
         ORDER BY allocation.purchase_id
    LOOP
        PERFORM add_progress(share.purchase_id, share.delta, share.latest, share.undone);
    END LOOP;
    RETURN NULL;
END $$;

CREATE TRIGGER inserts_are_counted AFTER INSERT ON tutoring_sessions
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_progress();

CREATE TRIGGER updates_are_counted AFTER UPDATE ON tutoring_sessions
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_progress();

CREATE TRIGGER deletes_are_counted AFTER DELETE ON tutoring_sessions
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_progress();

CREATE FUNCTION follow_sessions_total() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM set_config('coursepay.progress_writer', 'on', true);
    UPDATE student_course_progress
       SET sessions_total = NEW.sessions_total, updated_at = clock_timestamp()
     WHERE purchase_id = NEW.id;
    PERFORM set_config('coursepay.progress_writer', 'off', true);
    RETURN NULL;
END $$;

CREATE TRIGGER total_is_followed AFTER UPDATE OF sessions_total ON student_course_purchases
FOR EACH ROW WHEN (OLD.sessions_total <> NEW.sessions_total)
EXECUTE FUNCTION follow_sessions_total();

-- Empty, or something wrote past the triggers. A purchase whose completions were all taken back may have a row with 0.
CREATE VIEW progress_drift AS
WITH counted AS (
    SELECT allocation.purchase_id, count(*)::integer AS sessions_completed, max(held.completed_at) AS last_completed_at
      FROM tutoring_sessions held JOIN trainer_allocations allocation ON allocation.id = held.allocation_id
     WHERE held.status = 'completed'
     GROUP BY allocation.purchase_id
)
SELECT bought.id AS purchase_id,
       progress.sessions_total, bought.sessions_total AS expected_total,
       progress.sessions_completed, coalesce(counted.sessions_completed, 0) AS expected_completed,
       progress.last_completed_at, counted.last_completed_at AS expected_last_completed_at
  FROM student_course_purchases bought
  LEFT JOIN counted ON counted.purchase_id = bought.id
  LEFT JOIN student_course_progress progress ON progress.purchase_id = bought.id
 WHERE (progress.purchase_id IS NOT NULL OR counted.purchase_id IS NOT NULL)
   AND (progress.sessions_total, progress.sessions_completed, progress.last_completed_at,
        progress.student_id, progress.course_id)
       IS DISTINCT FROM
       (bought.sessions_total, coalesce(counted.sessions_completed, 0), counted.last_completed_at,
        bought.student_id, bought.course_id);

-- Corrects every drift and returns how many rows had one; for the owner and superusers. Safe beside running services:
-- the lock waits for those who have added already and holds up those who will add, and a session that is not committed
-- is neither counted here nor added before.
CREATE FUNCTION rebuild_progress() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    corrected integer;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'rebuild_progress() must see what was committed while it waited: use READ COMMITTED';
    END IF;
    PERFORM set_config('coursepay.progress_writer', 'on', true);
    LOCK TABLE student_course_progress IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO student_course_progress AS progress
        (purchase_id, student_id, course_id, sessions_total, sessions_completed, last_completed_at)
    SELECT bought.id, bought.student_id, bought.course_id, bought.sessions_total, drift.expected_completed,
           drift.expected_last_completed_at
      FROM progress_drift drift JOIN student_course_purchases bought ON bought.id = drift.purchase_id
    ON CONFLICT (purchase_id) DO UPDATE
       SET student_id = excluded.student_id, course_id = excluded.course_id,
           sessions_total = excluded.sessions_total, sessions_completed = excluded.sessions_completed,
           last_completed_at = excluded.last_completed_at, updated_at = clock_timestamp();
    GET DIAGNOSTICS corrected = ROW_COUNT;
    PERFORM set_config('coursepay.progress_writer', 'off', true);
    RETURN corrected;
END $$;

GRANT SELECT ON progress_drift TO coursepay_operations;

-- migrate: rollback
