# Products as callers see them: a page of them, or the one that the path names.
def pad($n): tostring | "0" * ([$n - length, 0] | max) + .;
def timestamp: if . == null then null else
    "\(.year | pad(4))-\(.month | pad(2))-\(.day | pad(2))T\(.hour | pad(2)):\(.minute | pad(2)):\(.second | pad(2))Z" end;
# A Decimal as a string with two to four digits after the point.
def amount: if . == null then null else
    (.decimal | if test("[eE]|\\.[0-9]{4}[0-9]*[1-9]") then (tonumber * 10000 | round) / 10000 | tostring else . end)
    | split(".") | .[0] + "." + ((.[1] // "") | until(endswith("0") | not; .[:-1]) | . + "0" * ([2 - length, 0] | max)) end;
def product: {
  productId: .id,
  code,
  name,
  unit: {unitId: .["sale_uom."].id, symbol: .["sale_uom."].symbol, decimals: .["sale_uom."].digits},
  listPrice: (.list_price | amount),
  price: (.sale_price_uom | amount),
  taxes: [.["account_category."]["customer_taxes."][]? | {taxId: .id, name, rate: (.rate | if . == null then null else .decimal end)}],
  updatedAt: (.write_date | timestamp)
};
($request.query.limit // "20" | tonumber) as $limit
| ($request.query.offset // "0" | tonumber) as $offset
| if $request.path.productId then .[0] | product
  else {
    items: (.[:$limit] | map(product)),
    offset: $offset,
    limit: $limit,
    nextOffset: (if length > $limit then $offset + $limit else null end)
  } end
