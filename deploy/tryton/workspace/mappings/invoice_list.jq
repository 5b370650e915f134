# Invoices to a party without their lines, one more than the page holds, so that the answer knows whether there is a next page.
$request.query as $q
| ([$q.state // empty] | flatten) as $states
| [
    [["party", "=", ($q.partyId | tonumber)], ["type", "=", "out"]]
      + (if $states == [] then [] else [["state", "in", $states]] end),
    ($q.offset // "0" | tonumber),
    ($q.limit // "20" | tonumber) + 1,
    [["id", "DESC"]],
    ["type", "number", "state", "invoice_date", "lines_to_pay.maturity_date", "party.code", "currency.code",
      "untaxed_amount", "tax_amount", "total_amount", "amount_to_pay", "sales"]
  ]
