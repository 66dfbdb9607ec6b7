-- Version 3: what made an escalated sweep run, and what is still there of a sweep.

ALTER TABLE sweep ADD COLUMN cause TEXT;    -- JSON object: rule, sweep, metric, host, value

-- raw: every byte. numbers: the bytes were pruned, and a reading's offset is 0. merged: its numbers stand
-- for several sweeps, or have gone into another one's.
ALTER TABLE sweep ADD COLUMN kept TEXT NOT NULL DEFAULT 'raw';

-- The highest id of a sweep that was dropped, so that none is given twice.
CREATE TABLE dropped (last INTEGER NOT NULL);
INSERT INTO dropped (last) VALUES (0);

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
    cause,
    kept
FROM sweep;
