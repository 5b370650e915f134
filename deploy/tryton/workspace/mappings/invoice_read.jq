# One invoice. Tryton refuses to read a record that does not exist, which becomes a 404.
[
  [$request.path.invoiceId | tonumber],
  ["type", "number", "state", "invoice_date", "lines_to_pay.maturity_date", "party.code", "currency.code",
    "untaxed_amount", "tax_amount", "total_amount", "amount_to_pay", "sales",
    "lines.product.code", "lines.description", "lines.quantity", "lines.unit_price", "lines.amount"]
]
