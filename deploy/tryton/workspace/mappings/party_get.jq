# One party. Tryton refuses to read a record that does not exist, which becomes a 404.
[
  [$request.path.partyId | tonumber],
  ["code", "name", "customer_payment_term.name", "credit_limit_amount", "credit_amount",
    "addresses.street", "addresses.postal_code", "addresses.city", "addresses.country.code", "addresses.invoice", "addresses.delivery"]
]
