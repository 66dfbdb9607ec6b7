-- Version 3: an escalated sweep says what made it run.

ALTER TABLE sweep ADD COLUMN cause TEXT;    -- JSON object: rule, sweep, metric, host, value

DROP VIEW v_sweep;
CREATE VIEW v_sweep AS
SELECT
    name AS sweep,
    trigger,
    schedule,
    started_ns / 1000000000 AS started,
    ended_ns / 1000000000 AS ended,
    planned,
    ok,
    readings,
    interrupted,
    cause
FROM sweep;
