# Sales without their lines, one more than the page holds, so that the answer knows whether there is a next page.
$request.query as $q
| ([$q.state // empty] | flatten) as $states
| [
    (if $q.partyId then [["party", "=", ($q.partyId | tonumber)]] else [] end)
      + (if $q.reference then [["reference", "=", $q.reference]] else [] end)
      + (if $states == [] then [] else [["state", "in", $states]] end),
    ($q.offset // "0" | tonumber),
    ($q.limit // "20" | tonumber) + 1,
    [["id", "DESC"]],
    ["number", "reference", "state", "shipment_state", "invoice_state", "sale_date", "party.code", "party.name",
      "currency.code", "untaxed_amount", "tax_amount", "total_amount", "create_date"]
  ]
