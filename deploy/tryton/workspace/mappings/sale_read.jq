# One sale: the one that the path names, or the one that was just created, whose id is the first result.
[
  [if $request.path.saleId then $request.path.saleId | tonumber else .[0] end],
  ["number", "reference", "state", "shipment_state", "invoice_state", "sale_date", "party.code", "party.name",
    "currency.code", "untaxed_amount", "tax_amount", "total_amount", "create_date",
    "invoice_address", "shipment_address", "warehouse.code", "comment", "shipments", "invoices",
    "lines.product.code", "lines.unit.symbol", "lines.quantity", "lines.unit_price", "lines.amount", "lines.taxes"]
]
