-- How long one request of a write may be with its system, in microseconds: as
-- long it counts as running when its process was lost. 0 where it is not known.
ALTER TABLE writes ADD COLUMN timeout bigint NOT NULL DEFAULT 0;
