-- The people of the portal. Who belongs to which organisation stands in the
-- control plane; here is only how people prove who they are.

CREATE TABLE accounts (
    id          text PRIMARY KEY,
    email       text NOT NULL UNIQUE, -- in small letters
    name        text NOT NULL,
    password    text NOT NULL,        -- argon2id, encoded; empty when there is none
    subject     text UNIQUE,          -- issuer and sub of OpenID Connect
    totp        {bytes},              -- the secret of the codes; null while there are none
    totp_step   bigint NOT NULL,      -- the last code that was taken, as a count of 30 s
    recovery    {bytes},              -- JSON: hashes of the codes that stand in for the device
    preferences {bytes},              -- JSON
    created     bigint NOT NULL,
    changed     bigint NOT NULL,
    signed_in   bigint NOT NULL
);

-- Log-ins. The token is known to the browser alone, here is its SHA-256.
CREATE TABLE sessions (
    hash         text PRIMARY KEY,
    account      text NOT NULL,
    pending      bigint NOT NULL, -- 1: the second factor is still due
    organisation text NOT NULL,   -- the one that is looked at
    acting       text NOT NULL,   -- the organisation that a manager looks at, read-only
    agent        text NOT NULL,
    created      bigint NOT NULL,
    seen         bigint NOT NULL,
    expires      bigint NOT NULL
);
CREATE INDEX sessions_account ON sessions (account);
CREATE INDEX sessions_expires ON sessions (expires);

-- What works once: confirmations, invitations, resets, challenges.
CREATE TABLE tickets (
    hash    text PRIMARY KEY,
    sort    text NOT NULL,
    about   text NOT NULL,  -- an account or an address
    body    {bytes},
    expires bigint NOT NULL
);
CREATE INDEX tickets_about ON tickets (about);
CREATE INDEX tickets_expires ON tickets (expires);

CREATE TABLE passkeys (
    id      text PRIMARY KEY, -- base64url of the credential's ID
    account text NOT NULL,
    name    text NOT NULL,
    body    {bytes} NOT NULL,
    created bigint NOT NULL,
    used    bigint NOT NULL
);
CREATE INDEX passkeys_account ON passkeys (account);

-- Mails on their way. The text is gone once a mail was sent: links in it are keys.
CREATE TABLE mails (
    id       text PRIMARY KEY,
    receiver text NOT NULL,
    subject  text NOT NULL,
    body     {bytes},
    state    text NOT NULL CHECK (state IN ('due', 'sent', 'failed', 'nobody')),
    attempts bigint NOT NULL,
    due      bigint NOT NULL,
    problem  text NOT NULL,
    created  bigint NOT NULL,
    sent     bigint NOT NULL
);
CREATE INDEX mails_due ON mails (state, due);
CREATE INDEX mails_created ON mails (created);

-- What organisations and partner managers write to each other.
CREATE TABLE messages (
    id           text PRIMARY KEY,
    organisation text NOT NULL,
    author       text NOT NULL,
    manager      bigint NOT NULL, -- 1: from the partner manager's side
    about        text NOT NULL,   -- a subscription, or empty
    body         {bytes} NOT NULL,
    at           bigint NOT NULL
);
CREATE INDEX messages_organisation ON messages (organisation, at);
