-- Where apps want to hear of their writes.
CREATE TABLE hooks (
    id         text PRIMARY KEY,
    app        text NOT NULL,
    url        text NOT NULL,
    about      text NOT NULL,            -- what people call it
    types      text NOT NULL,            -- ' delivered refused ': the states that it is told of, each between blanks
    state      text NOT NULL CHECK (state IN ('on', 'off', 'failed')), -- failed: turned off, because it was away for long
    secret     {bytes} NOT NULL,         -- sealed: what signs
    secret_before {bytes} NOT NULL,      -- sealed: what signs as well, until the time below; empty without one
    secret_until bigint NOT NULL,
    failures   integer NOT NULL DEFAULT 0, -- in a row
    failing    bigint NOT NULL DEFAULT 0,  -- since when
    due        bigint NOT NULL DEFAULT 0,  -- nothing is sent before
    answered   bigint NOT NULL DEFAULT 0,  -- the last delivery that it took
    created    bigint NOT NULL,
    changed    bigint NOT NULL
);
CREATE INDEX hooks_app ON hooks (app, id);

-- The outbox: what hooks are to be told, and what came of it. A row is made by
-- the transaction that changes the write.
CREATE TABLE deliveries (
    number      {serial} PRIMARY KEY,
    hook        text NOT NULL,
    app         text NOT NULL,
    system      text NOT NULL,            -- of the write; nobody outside is told
    type        text NOT NULL,            -- a state of a write, or test
    seq         bigint NOT NULL,          -- the write; 0 of a test
    token       bigint NOT NULL,
    version     bigint NOT NULL,
    at          bigint NOT NULL,
    operation   text NOT NULL,
    correlation text NOT NULL,
    key         text NOT NULL,
    status      integer NOT NULL,
    attempts    integer NOT NULL,
    dead        smallint NOT NULL,
    reason      text NOT NULL,
    state       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'taken', 'given up')),
    due         bigint NOT NULL,          -- when it may be sent; of one that is claimed, when the claim is over
    claim       text NOT NULL DEFAULT '',
    tries       integer NOT NULL DEFAULT 0,
    log         {bytes}                   -- JSON: what the last tries came to
);
CREATE INDEX deliveries_due ON deliveries (hook, due) WHERE state = 'waiting';
CREATE INDEX deliveries_hook ON deliveries (hook, number);
CREATE INDEX deliveries_at ON deliveries (at);

-- What partners are told beforehand: maintenance, and other news.
CREATE TABLE announcements (
    id      text PRIMARY KEY,
    title   text NOT NULL,
    body    text NOT NULL,
    apis    text NOT NULL,   -- orders/v1 stock/v1: what it concerns; empty for all
    starts  bigint NOT NULL, -- of a maintenance window; 0 of other news
    ends    bigint NOT NULL,
    author  text NOT NULL,
    created bigint NOT NULL
);
