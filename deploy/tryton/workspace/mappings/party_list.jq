# Parties, one more than the page holds, so that the answer knows whether there is a next page.
def pattern: "%" + gsub("(?<c>[\\\\%_])"; "\\\(.c)") + "%";
$request.query as $q
| [
    (if $q.code then [["code", "=", $q.code]] else [] end)
      + (if $q.search then [["OR", ["code", "ilike", ($q.search | pattern)], ["name", "ilike", ($q.search | pattern)]]] else [] end),
    ($q.offset // "0" | tonumber),
    ($q.limit // "20" | tonumber) + 1,
    [["code", "ASC"], ["id", "ASC"]],
    ["code", "name", "customer_payment_term.name", "credit_limit_amount", "credit_amount",
      "addresses.street", "addresses.postal_code", "addresses.city", "addresses.country.code", "addresses.invoice", "addresses.delivery"]
  ]
