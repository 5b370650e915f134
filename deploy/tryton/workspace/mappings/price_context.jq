# What a price depends on; Tryton takes it from the context.
def day: strptime("%Y-%m-%d") | {__class__: "date", year: .[0], month: (.[1] + 1), day: .[2]};
$request.query
| (if .customerId then {customer: (.customerId | tonumber)} else {} end)
  + (if .quantity then {quantity: (.quantity | tonumber)} else {} end)
  + (if .date then {sale_date: (.date | day)} else {} end)
