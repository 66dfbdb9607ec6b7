-- Version 4: what a metric's source can tell apart, and what may name a host for it. NULL where the
-- probe does not say, as in all that was recorded before.

ALTER TABLE metric ADD COLUMN resolution REAL;
ALTER TABLE metric ADD COLUMN judged TEXT;
