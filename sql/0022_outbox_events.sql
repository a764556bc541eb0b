-- Events go into the outbox in one call: a confirmation waits for every answer of PostgreSQL.
-- depends: 0021_audited_states

-- migrate: apply

-- Two writers of one order would take the same order_seq: each reads the highest before the other's is committed. So
-- they queue here, in the order of the keys. Volatile, so that the statement behind it sees what the one before has
-- committed. Events of one order keep the order in which they are given.
CREATE FUNCTION add_to_outbox(
    order_ids text[], event_ids uuid[], types text[], versions integer[], payloads bytea[], traceparents text[]
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(key)
       FROM (SELECT DISTINCT hashtextextended('outbox ' || given.order_id, 0) AS key
               FROM unnest(order_ids) AS given (order_id)
              ORDER BY key) AS ordered;
    INSERT INTO outbox (order_id, order_seq, event_id, type, version, payload, traceparent)
    SELECT added.order_id,
           COALESCE((SELECT max(earlier.order_seq) FROM outbox earlier WHERE earlier.order_id = added.order_id), 0)
               + row_number() OVER (PARTITION BY added.order_id ORDER BY added.position),
           added.event_id, added.type, added.version, added.payload, added.traceparent
      FROM unnest(order_ids, event_ids, types, versions, payloads, traceparents)
           WITH ORDINALITY AS added (order_id, event_id, type, version, payload, traceparent, position)
     ORDER BY added.position;
END
$$;

GRANT EXECUTE ON FUNCTION add_to_outbox(text[], uuid[], text[], integer[], bytea[], text[])
    TO coursepay_gateway, coursepay_assignment_worker;

-- migrate: rollback

DROP FUNCTION add_to_outbox(text[], uuid[], text[], integer[], bytea[], text[]);
