# Warehouses, one more than the page holds, so that the answer knows whether there is a next page.
$request.query as $q
| [
    [["type", "=", "warehouse"]],
    ($q.offset // "0" | tonumber),
    ($q.limit // "20" | tonumber) + 1,
    [["code", "ASC"], ["id", "ASC"]],
    ["code", "name"]
  ]
