-- Which writes went to their system in one call.
CREATE TABLE batches (
    batch text NOT NULL,
    seq   bigint NOT NULL,
    PRIMARY KEY (batch, seq)
){wide};
CREATE INDEX batches_seq ON batches (seq);
