# What a warehouse has, product by product in the order of their codes.
# A quantity without needless zeros: 3, not 3.0.
def quantity: if . == null then null else . + 0 end;
{
  warehouseId: ($request.path.warehouseId | tonumber),
  date: $request.query.date,
  items: (sort_by(.code, .id) | map({
    productId: .id,
    code,
    unitSymbol: .["default_uom."].symbol,
    onHand: (.quantity | quantity),
    forecast: (.forecast_quantity | quantity)
  }))
}
