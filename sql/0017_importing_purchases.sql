-- `coursepay import purchases` acts as the purchase worker, and checks that the courses exist.
-- depends: 0006_grants

-- migrate: apply

GRANT SELECT ON courses TO coursepay_purchase_worker;

-- migrate: rollback
