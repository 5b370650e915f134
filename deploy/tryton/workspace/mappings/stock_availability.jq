# The products to look at. Where and when stands in the context.
[
  ([$request.query.productId] | flatten | map(tonumber)),
  ["code", "default_uom.symbol", "quantity", "forecast_quantity"]
]
