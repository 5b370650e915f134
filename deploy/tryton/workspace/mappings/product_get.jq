# One product. Tryton refuses to read a record that does not exist, which becomes a 404.
[
  [$request.path.productId | tonumber],
  ["code", "name", "list_price", "sale_price_uom", "sale_uom.symbol", "sale_uom.digits",
    "account_category.customer_taxes.name", "account_category.customer_taxes.rate", "write_date"]
]
