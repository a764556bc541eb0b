-- `coursepay import purchases` acts as the purchase worker, and checks that the courses exist.
-- depends: 0016_moving_allocations

-- migrate: apply

GRANT SELECT ON courses TO coursepay_purchase_worker;

-- migrate: rollback
