-- The ledger of writes. One text for both engines; words in braces are what
-- they call differently. Times are microseconds since 1970, 0 for none.

-- What the ledger knows about itself.
CREATE TABLE meta (
    name  text PRIMARY KEY,
    value {bytes} NOT NULL
);

-- Where Postgres takes numbers and places from; SQLite keeps the last in meta.
{sequence}

-- What changes in the life of a write. Kept narrow: most changes rewrite the row.
CREATE TABLE writes (
    seq        {rowid} PRIMARY KEY,
    system     text NOT NULL,
    app        text NOT NULL,
    state      text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'sending', 'doubtful', 'delivered', 'refused', 'cancelled', 'expired', 'superseded')),
    class      smallint NOT NULL CHECK (class BETWEEN 0 AND 3), -- 0 critical, 3 low
    rank       smallint NOT NULL CHECK (rank BETWEEN 0 AND 3),  -- the class that it is claimed by
    place      bigint NOT NULL,                                 -- the order in its lanes and among its rank
    blockers   integer NOT NULL CHECK (blockers >= 0),          -- lanes in which something is before it
    ready      smallint NOT NULL CHECK (ready = 0 OR (ready = 1 AND state = 'held' AND blockers = 0 AND not_before = 0 AND gap = 0)),
    gap        smallint NOT NULL DEFAULT 0 CHECK (gap = 0 OR (gap = 1 AND state = 'held' AND laned = 0)), -- waits for missing numbers
    laned      smallint NOT NULL CHECK (laned IN (0, 1)),       -- stands in its lanes
    dead       smallint NOT NULL DEFAULT 0 CHECK (dead = 0 OR (dead = 1 AND state IN ('refused', 'doubtful'))),
    open       smallint NOT NULL DEFAULT 0 CHECK (open IN (0, 1)),        -- an earlier sending may have been done
    goes_on    smallint NOT NULL CHECK (goes_on IN (0, 1)),     -- its lanes go on when it is dead
    bytes      bigint NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    sendings   integer NOT NULL DEFAULT 0,
    epoch      bigint NOT NULL DEFAULT 0,
    version    bigint NOT NULL DEFAULT 1,
    owner      text NOT NULL DEFAULT '' CHECK (owner <> '' OR state <> 'sending'),
    lease      bigint NOT NULL DEFAULT 0,
    started    bigint NOT NULL DEFAULT 0,
    first_sent bigint NOT NULL DEFAULT 0,
    not_before bigint NOT NULL,
    expires    bigint NOT NULL,
    settled    bigint NOT NULL DEFAULT 0 CHECK ((settled = 0) = (state IN ('held', 'sending', 'doubtful'))),
    coalesce   {bytes},
    status     integer NOT NULL DEFAULT 0,
    cause      text NOT NULL DEFAULT '',
    reason     text NOT NULL DEFAULT '',
    replaced_by text NOT NULL DEFAULT ''
){writes};
CREATE INDEX writes_ready ON writes (system, rank, place) WHERE ready = 1;
CREATE INDEX writes_due ON writes (system, not_before) WHERE state = 'held' AND not_before > 0;
CREATE INDEX writes_doubt ON writes (system, not_before) WHERE state = 'doubtful' AND dead = 0;
CREATE INDEX writes_claimed ON writes (owner) WHERE owner <> '';
CREATE INDEX writes_gap ON writes (not_before) WHERE gap = 1;
CREATE INDEX writes_expire ON writes (expires) WHERE state = 'held' AND expires > 0 AND open = 0;
CREATE INDEX writes_dead ON writes (system, seq) WHERE dead = 1;
CREATE INDEX writes_coalesce ON writes (coalesce) WHERE coalesce IS NOT NULL AND state = 'held' AND open = 0;
CREATE INDEX writes_live ON writes (system, seq) WHERE state IN ('held', 'sending', 'doubtful');
CREATE INDEX writes_settled ON writes (settled) WHERE settled > 0;
CREATE INDEX writes_app ON writes (app, seq);

-- What was appended: written once.
CREATE TABLE requests (
    seq         {rowid} PRIMARY KEY,
    token       bigint NOT NULL, -- the random half of the id
    operation   text NOT NULL,
    correlation text NOT NULL,
    accepted    bigint NOT NULL,
    lanes       text NOT NULL,   -- JSON array of business keys
    number      bigint,          -- its place in a sequence
    key         text NOT NULL,
    key_until   bigint NOT NULL,
    fingerprint {bytes},
    replaces    text NOT NULL,
    request     {bytes} NOT NULL
);
CREATE INDEX requests_correlation ON requests (correlation) WHERE correlation <> '';

-- What was answered.
CREATE TABLE responses (
    seq      {rowid} PRIMARY KEY,
    response {bytes} NOT NULL
);

-- The writes that stand in a lane, SYSTEM/KEY; the least place is its head. A
-- row of place 0 and write 0 is a pause, which is before everything.
CREATE TABLE lanes (
    lane  text NOT NULL,
    place bigint NOT NULL,
    seq   bigint NOT NULL,
    rank  smallint NOT NULL,
    PRIMARY KEY (lane, place)
){wide};
CREATE INDEX lanes_urgent ON lanes (lane, rank) WHERE rank < 2;

-- The writes that stood in a lane.
CREATE TABLE lanes_past (
    lane text NOT NULL,
    seq  bigint NOT NULL,
    PRIMARY KEY (lane, seq)
){wide};

-- Idempotency keys.
CREATE TABLE keys (
    app         text NOT NULL,
    operation   text NOT NULL,
    key         text NOT NULL,
    fingerprint {bytes},
    seq         bigint NOT NULL,
    since       bigint NOT NULL,
    until       bigint NOT NULL,
    PRIMARY KEY (key, app, operation)
){wide};

-- Numbers of writes that have a sequence of their own; gone ones have entered
-- their lane, the others wait for those missing.
CREATE TABLE numbers (
    lane   text NOT NULL,
    number bigint NOT NULL,
    seq    bigint NOT NULL,
    gone   smallint NOT NULL CHECK (gone IN (0, 1)),
    PRIMARY KEY (lane, number)
){wide};

-- Every change of a write's state but its acceptance and its claims, which
-- stand in the rows that end them.
CREATE TABLE timeline (
    seq     bigint NOT NULL,
    version bigint NOT NULL,
    at      bigint NOT NULL,
    started bigint NOT NULL,
    state   text NOT NULL,
    attempt integer NOT NULL,
    status  integer NOT NULL,
    replica text NOT NULL,
    actor   text NOT NULL,
    reason  text NOT NULL,
    PRIMARY KEY (seq, version)
){wide};

CREATE TABLE pauses (
    system text NOT NULL,
    lane   text NOT NULL, -- empty: the whole system
    since  bigint NOT NULL,
    actor  text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (system, lane)
);

CREATE TABLE audit (
    number {serial} PRIMARY KEY,
    at     bigint NOT NULL,
    actor  text NOT NULL,
    reason text NOT NULL,
    action text NOT NULL,
    target text NOT NULL
);
