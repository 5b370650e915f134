# Where and when to look. Without a place Tryton would answer zero to everything.
def day: strptime("%Y-%m-%d") | {__class__: "date", year: .[0], month: (.[1] + 1), day: .[2]};
{locations: [$request.path.warehouseId | tonumber], with_childs: true}
  + (if $request.query.date then {stock_date_end: ($request.query.date | day)} else {} end)
