# Saleable products, one more than the page holds, so that the answer knows whether there is a next page.
def pattern: "%" + gsub("(?<c>[\\\\%_])"; "\\\(.c)") + "%";
$request.query as $q
| ([$q.code // empty] | flatten) as $codes
| [
    [["salable", "=", true]]
      + (if $codes == [] then [] else [["code", "in", $codes]] end)
      + (if $q.search then [["OR", ["code", "ilike", ($q.search | pattern)], ["name", "ilike", ($q.search | pattern)]]] else [] end),
    ($q.offset // "0" | tonumber),
    ($q.limit // "20" | tonumber) + 1,
    [["code", "ASC"], ["id", "ASC"]],
    ["code", "name", "list_price", "sale_price_uom", "sale_uom.symbol", "sale_uom.digits",
      "account_category.customer_taxes.name", "account_category.customer_taxes.rate", "write_date"]
  ]
