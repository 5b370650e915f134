-- The control plane: what architects and partner managers have decided. The
-- ledger knows names and revisions of it, not its meaning.

-- The things that there are, by kind and name.
CREATE TABLE control (
    kind     text NOT NULL,
    name     text NOT NULL,
    parent   text NOT NULL,  -- the name of what it belongs to, or empty
    body     {bytes} NOT NULL,
    secret   {bytes},        -- hashes of credentials and the like: in no audit row
    revision bigint NOT NULL, -- of its last change
    created  bigint NOT NULL,
    changed  bigint NOT NULL,
    PRIMARY KEY (kind, name)
){wide};
CREATE INDEX control_revision ON control (revision);
CREATE INDEX control_parent ON control (kind, parent, name);

-- The things that there were, so that others learn of their end.
CREATE TABLE control_gone (
    kind     text NOT NULL,
    name     text NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (kind, name)
){wide};
CREATE INDEX control_gone_revision ON control_gone (revision);

-- Contents, once each, by the hexadecimal SHA-256.
CREATE TABLE blobs (
    hash    text PRIMARY KEY,
    content {bytes} NOT NULL
);

-- When things were last used. No revision is made of it.
CREATE TABLE control_used (
    kind text NOT NULL,
    name text NOT NULL,
    at   bigint NOT NULL,
    PRIMARY KEY (kind, name)
){wide};

-- What each replica serves.
CREATE TABLE replicas (
    name     text PRIMARY KEY,
    revision bigint NOT NULL, -- the last that it has read
    served   bigint NOT NULL, -- the one that it serves
    built    bigint NOT NULL,
    problems {bytes} NOT NULL, -- JSON array of texts
    seen     bigint NOT NULL
);

-- Every audit row is chained to the one before it. meta has the last one
-- (audit_head) and the last that was deleted because of its age (audit_tail).
ALTER TABLE audit ADD COLUMN role text NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN request text NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN revision bigint NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN was {bytes};
ALTER TABLE audit ADD COLUMN became {bytes};
ALTER TABLE audit ADD COLUMN hash {bytes};
CREATE INDEX audit_target ON audit (target, number);
CREATE INDEX audit_actor ON audit (actor, number);
