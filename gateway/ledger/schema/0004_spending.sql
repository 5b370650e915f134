-- What replicas that count in memory may have spent of the systems' budgets:
-- the last word of each. The state is the budget's own.
CREATE TABLE spending (
    replica text NOT NULL, -- empty where the ledger belongs to one process
    system  text NOT NULL,
    at      bigint NOT NULL,
    state   {bytes} NOT NULL,
    PRIMARY KEY (replica, system)
);
