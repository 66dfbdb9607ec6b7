-- Version 1. A released version never changes; the next one is appended to MIGRATIONS in schema.rs.
-- Tables may change with any version. The views at the end are what other programs may rely on.

CREATE TABLE sweep (
    id INTEGER PRIMARY KEY,             -- in the order of recording
    name TEXT NOT NULL UNIQUE,
    trigger TEXT NOT NULL,
    schedule TEXT,
    started_ns INTEGER NOT NULL,
    ended_ns INTEGER,
    elapsed_ns INTEGER,
    interrupted INTEGER,
    planned INTEGER NOT NULL,
    readings INTEGER NOT NULL DEFAULT 0,
    ok INTEGER NOT NULL DEFAULT 0,
    state INTEGER NOT NULL DEFAULT 0,   -- 0 running, 1 ended, 2 its samples stand in blocks
    archived INTEGER NOT NULL,          -- bytes of its tar that this index holds
    last_seq INTEGER NOT NULL
);

CREATE TABLE chunk (id INTEGER PRIMARY KEY);

CREATE TABLE host (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    chunk INTEGER NOT NULL,             -- which block of its series a host stands in,
    slot INTEGER NOT NULL,              -- and where in it
    UNIQUE (chunk, slot)
);

CREATE TABLE probe (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- One definition of a probe: readings of two definitions may mean different things.
CREATE TABLE definition (
    id INTEGER PRIMARY KEY,
    probe INTEGER NOT NULL,
    hash TEXT NOT NULL,
    summary TEXT NOT NULL,
    UNIQUE (probe, hash)
);

CREATE TABLE metric (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    kind TEXT NOT NULL,
    help TEXT NOT NULL,
    worse TEXT NOT NULL,
    warn REAL,
    definition INTEGER NOT NULL,        -- the latest one that described it
    series INTEGER NOT NULL DEFAULT 0,  -- how many it has: they are capped
    UNIQUE (name, unit, kind)
);

CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    metric INTEGER NOT NULL,
    labels TEXT NOT NULL,               -- JSON object, keys sorted
    span TEXT NOT NULL,
    probe INTEGER NOT NULL,
    UNIQUE (metric, labels, span, probe)
);

CREATE TABLE reading (
    sweep INTEGER NOT NULL,
    host INTEGER NOT NULL,
    probe INTEGER NOT NULL,
    definition INTEGER,
    outcome TEXT NOT NULL,
    detail TEXT,
    exit INTEGER,
    started_ns INTEGER NOT NULL,
    elapsed_ns INTEGER NOT NULL,
    bytes_wire INTEGER NOT NULL,
    bytes_raw INTEGER NOT NULL,
    cpu_ns INTEGER,
    boot_id TEXT,
    host_start_ns INTEGER,
    host_end_ns INTEGER,
    uptime_end_s REAL,
    samples INTEGER NOT NULL,
    faults INTEGER NOT NULL,
    truncated INTEGER NOT NULL,
    offset INTEGER NOT NULL,            -- where its member begins in the sweep's tar
    PRIMARY KEY (sweep, host, probe)
) WITHOUT ROWID;

-- The samples of one reading while its sweep is not pivoted yet.
CREATE TABLE stage (
    sweep INTEGER NOT NULL,
    host INTEGER NOT NULL,
    probe INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (sweep, host, probe)
) WITHOUT ROWID;

-- One series of one sweep over a chunk of hosts.
CREATE TABLE block (
    series INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    sweep INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (series, chunk, sweep)
) WITHOUT ROWID;

CREATE TABLE histogram (
    sweep INTEGER NOT NULL,
    host INTEGER NOT NULL,
    series INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum REAL,
    max REAL,
    buckets BLOB NOT NULL,
    PRIMARY KEY (sweep, host, series)
) WITHOUT ROWID;

CREATE TABLE fault (
    sweep INTEGER NOT NULL,
    host INTEGER NOT NULL,
    probe INTEGER NOT NULL,
    n INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (sweep, host, probe, n)
) WITHOUT ROWID;

-- A row where a label changed; NULL where it went away.
CREATE TABLE host_label (
    host INTEGER NOT NULL,
    source TEXT NOT NULL,               -- inventory | fact
    label TEXT NOT NULL,
    since_ns INTEGER NOT NULL,
    value TEXT,
    PRIMARY KEY (host, source, label, since_ns)
) WITHOUT ROWID;

-- The labels as they were last said, whole: most sweeps change none of them.
CREATE TABLE label_set (
    host INTEGER NOT NULL,
    source TEXT NOT NULL,
    labels TEXT NOT NULL,
    PRIMARY KEY (host, source)
) WITHOUT ROWID;

-- What the next reading's `between` rates are made from.
CREATE TABLE counter_last (
    host INTEGER NOT NULL,
    probe INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    uptime_s REAL NOT NULL,
    totals BLOB NOT NULL,
    PRIMARY KEY (host, probe)
) WITHOUT ROWID;

CREATE TABLE cursor (
    host INTEGER NOT NULL,
    probe INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (host, probe)
) WITHOUT ROWID;

-- Moments are whole seconds since 1970 (UTC). v_sample needs three functions that this program
-- registers (see docs/archive-and-index.md); every other view opens in any SQLite.
CREATE VIEW v_sample AS
SELECT
    w.name AS sweep,
    (SELECT r.started_ns / 1000000000 FROM reading r
      WHERE r.sweep = b.sweep AND r.host = h.id AND r.probe = s.probe) AS ts,
    h.name AS host,
    p.name AS probe,
    m.name AS metric,
    s.labels AS labels,
    m.kind AS kind,
    s.span AS span,
    block_value(b.data, h.slot) AS value
-- CROSS: series and chunk always before the block, so that blocks are found by their key. Left to itself,
-- SQLite scans all blocks of a series, or of all, and builds an index over them for the one question.
FROM metric m
JOIN series s ON s.metric = m.id
JOIN chunk c
CROSS JOIN block b ON b.series = s.id AND b.chunk = c.id
JOIN sweep w ON w.id = b.sweep
JOIN host h ON h.chunk = c.id
JOIN probe p ON p.id = s.probe
WHERE block_value(b.data, h.slot) IS NOT NULL
UNION ALL
SELECT
    w.name,
    (SELECT r.started_ns / 1000000000 FROM reading r
      WHERE r.sweep = g.sweep AND r.host = g.host AND r.probe = g.probe),
    h.name,
    p.name,
    m.name,
    s.labels,
    m.kind,
    s.span,
    stage_value(g.data, i.key)
FROM sweep w
CROSS JOIN stage g ON g.sweep = w.id
JOIN host h ON h.id = g.host
JOIN json_each(stage_series(g.data)) i
JOIN series s ON s.id = i.value
JOIN metric m ON m.id = s.metric
JOIN probe p ON p.id = g.probe;

CREATE VIEW v_reading AS
SELECT
    w.name AS sweep,
    r.started_ns / 1000000000 AS ts,
    h.name AS host,
    p.name AS probe,
    r.outcome AS outcome,
    r.detail AS detail,
    r.exit AS exit,
    r.elapsed_ns / 1e9 AS elapsed_s,
    r.bytes_wire AS bytes_wire,
    r.bytes_raw AS bytes_raw,
    r.cpu_ns / 1e9 AS cpu_s,
    (r.host_start_ns - r.started_ns) / 1e9 AS skew_s,
    r.boot_id AS boot_id,
    r.samples AS samples,
    r.faults AS faults,
    r.truncated AS truncated,
    d.hash AS probe_hash
FROM reading r
JOIN sweep w ON w.id = r.sweep
JOIN host h ON h.id = r.host
JOIN probe p ON p.id = r.probe
LEFT JOIN definition d ON d.id = r.definition;

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
    interrupted
FROM sweep;

-- Every value a label had; `until` is NULL for the present one.
CREATE VIEW v_host_label AS
SELECT host, label, value, since, source, until FROM (
    SELECT
        h.name AS host,
        l.label AS label,
        l.value AS value,
        l.since_ns / 1000000000 AS since,
        l.source AS source,
        lead(l.since_ns / 1000000000) OVER (PARTITION BY l.host, l.source, l.label ORDER BY l.since_ns) AS until
    FROM host_label l
    JOIN host h ON h.id = l.host
)
WHERE value IS NOT NULL;

CREATE VIEW v_metric AS
SELECT name AS metric, unit, kind, help, worse, warn FROM metric;

CREATE VIEW v_histogram AS
SELECT
    w.name AS sweep,
    r.started_ns / 1000000000 AS ts,
    h.name AS host,
    p.name AS probe,
    m.name AS metric,
    s.labels AS labels,
    m.unit AS unit,
    x.count AS count,
    x.sum AS sum,
    x.max AS max,
    buckets_json(x.buckets) AS buckets
FROM histogram x
JOIN sweep w ON w.id = x.sweep
JOIN host h ON h.id = x.host
JOIN series s ON s.id = x.series
JOIN metric m ON m.id = s.metric
JOIN probe p ON p.id = s.probe
JOIN reading r ON r.sweep = x.sweep AND r.host = x.host AND r.probe = s.probe;

CREATE VIEW v_fault AS
SELECT w.name AS sweep, h.name AS host, p.name AS probe, f.n AS n, f.text AS text
FROM fault f
JOIN sweep w ON w.id = f.sweep
JOIN host h ON h.id = f.host
JOIN probe p ON p.id = f.probe;
