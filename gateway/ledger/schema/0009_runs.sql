-- Runs: executions of flows that write. What a run has done stands in its
-- steps; those that write point to the write, whose row alone says what
-- became of it.
CREATE TABLE runs (
    seq         {rowid} PRIMARY KEY,
    token       bigint NOT NULL, -- the random half of the id
    app         text NOT NULL,
    operation   text NOT NULL,   -- API/vMAJOR/operationId
    workflow    text NOT NULL,
    flow        text NOT NULL,   -- the hash of the document that it goes by
    class       smallint NOT NULL CHECK (class BETWEEN 0 AND 3),
    correlation text NOT NULL,
    key         text NOT NULL,
    key_until   bigint NOT NULL,
    fingerprint {bytes},
    state       text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'failed', 'compensated', 'stuck')),
    undo        smallint NOT NULL DEFAULT 0 CHECK (undo IN (0, 1)),   -- a person wants it undone
    again       integer NOT NULL DEFAULT 0,                           -- how often a person let it go on
    waits       bigint NOT NULL DEFAULT 0 CHECK (waits = 0 OR state = 'stuck'), -- the dead write that it is stuck at
    ready       smallint NOT NULL DEFAULT 0 CHECK (ready IN (0, 1)),  -- there is something new for it
    not_before  bigint NOT NULL DEFAULT 0,                            -- when it goes on by itself
    owner       text NOT NULL DEFAULT '' CHECK (owner = '' OR state = 'running'),
    lease       bigint NOT NULL DEFAULT 0,
    epoch       bigint NOT NULL DEFAULT 0,
    version     bigint NOT NULL DEFAULT 1,
    accepted    bigint NOT NULL,
    settled     bigint NOT NULL DEFAULT 0 CHECK ((settled = 0) = (state IN ('running', 'stuck'))),
    status      integer NOT NULL DEFAULT 0,
    cause       text NOT NULL DEFAULT '',
    reason      text NOT NULL DEFAULT '',
    request     {bytes} NOT NULL,
    response    {bytes}
);
CREATE UNIQUE INDEX runs_key ON runs (app, operation, key) WHERE key <> '';
CREATE INDEX runs_ready ON runs (seq) WHERE ready = 1 AND owner = '' AND state = 'running';
CREATE INDEX runs_due ON runs (not_before) WHERE not_before > 0 AND owner = '' AND state = 'running';
CREATE INDEX runs_owned ON runs (owner) WHERE owner <> '';
CREATE INDEX runs_app ON runs (app, seq);
CREATE INDEX runs_state ON runs (state, seq);
CREATE INDEX runs_correlation ON runs (correlation, seq);
CREATE INDEX runs_settled ON runs (settled) WHERE settled > 0;

-- The steps that a run has taken. A visit is one attempt at a step, and its
-- name the same whenever the run is gone through again.
CREATE TABLE run_steps (
    run    bigint NOT NULL,
    visit  text NOT NULL,
    write  bigint NOT NULL DEFAULT 0, -- 0 for steps that only read
    began  bigint NOT NULL,
    ended  bigint NOT NULL DEFAULT 0, -- 0 while it is not known what it came to
    result {bytes},
    PRIMARY KEY (run, visit),
    CHECK (write > 0 OR ended > 0)
){wide};
CREATE INDEX run_steps_write ON run_steps (write) WHERE write > 0;

-- The documents that runs go by, each once.
CREATE TABLE flows (
    flow     text PRIMARY KEY, -- the hash of it
    document {bytes} NOT NULL
){wide};

-- The run that a write is a step of; 0 for none.
ALTER TABLE writes ADD COLUMN run bigint NOT NULL DEFAULT 0;
