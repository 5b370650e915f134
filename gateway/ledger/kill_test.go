package ledger_test

const childURL = "HEADRACE_LEDGER_CHILD"

func child() {}
