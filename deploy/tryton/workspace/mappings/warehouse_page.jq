# A page of warehouses.
($request.query.limit // "20" | tonumber) as $limit
| ($request.query.offset // "0" | tonumber) as $offset
| {
    items: (.[:$limit] | map({warehouseId: .id, code, name})),
    offset: $offset,
    limit: $limit,
    nextOffset: (if length > $limit then $offset + $limit else null end)
  }
