-- Version 2: one metric's histograms of all hosts are asked for, and offences against a probe's budget
-- are counted.

CREATE INDEX histogram_by_series ON histogram (series, sweep, host);

-- A probe that took more than it may on a host, or had to be killed, in its last readings there. A reading
-- that went well takes the row away; one that never ran leaves it.
CREATE TABLE strike (
    host INTEGER NOT NULL,
    probe INTEGER NOT NULL,
    hash TEXT NOT NULL,                 -- of the definition; another one begins anew
    count INTEGER NOT NULL,
    before_ns INTEGER,                  -- the last but one
    last_ns INTEGER NOT NULL,
    what TEXT NOT NULL,                 -- of the last
    PRIMARY KEY (host, probe)
) WITHOUT ROWID;
