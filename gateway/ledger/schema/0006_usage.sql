-- Who uses what, added up by day: the calls themselves (field is empty), the
-- fields of their requests, and what a candidate version would have refused.
CREATE TABLE usage (
    sort      text NOT NULL,   -- calls, or shadow
    api       text NOT NULL,
    version   text NOT NULL,
    operation text NOT NULL,
    app       text NOT NULL,   -- empty for callers whom nobody knows
    field     text NOT NULL,   -- empty for the calls themselves
    day       bigint NOT NULL, -- days since 1970-01-01 in UTC
    calls     bigint NOT NULL,
    refused   bigint NOT NULL, -- answered 4xx; of a candidate: would have been refused
    failed    bigint NOT NULL, -- answered 5xx
    micros    bigint NOT NULL, -- all that the calls took
    seen      bigint NOT NULL, -- the last call
    PRIMARY KEY (sort, api, version, operation, app, field, day)
){wide};
CREATE INDEX usage_day ON usage (day);
