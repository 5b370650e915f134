# Invoices as callers see them: a page of them without lines, or one with its lines.
def pad($n): tostring | "0" * ([$n - length, 0] | max) + .;
def date: if . == null then null else "\(.year | pad(4))-\(.month | pad(2))-\(.day | pad(2))" end;
# A Decimal as a string with two to four digits after the point.
def amount: if . == null then null else
    (.decimal | if test("[eE]|\\.[0-9]{4}[0-9]*[1-9]") then (tonumber * 10000 | round) / 10000 | tostring else . end)
    | split(".") | .[0] + "." + ((.[1] // "") | until(endswith("0") | not; .[:-1]) | . + "0" * ([2 - length, 0] | max)) end;
# A quantity without needless zeros: 3, not 3.0.
def quantity: if . == null then null else . + 0 end;
def head: {
  invoiceId: .id,
  type: (if .type == "out" then "customer" else "supplier" end),
  number,
  state,
  date: (.invoice_date | date),
  dueDate: ([.["lines_to_pay."][].maturity_date | date] | max),
  party: {partyId: .["party."].id, code: .["party."].code},
  currency: .["currency."].code,
  untaxedAmount: (.untaxed_amount | amount),
  taxAmount: (.tax_amount | amount),
  totalAmount: (.total_amount | amount),
  amountToPay: (.amount_to_pay | amount),
  saleIds: .sales
};
def line: {
  productCode: .["product."].code,
  description,
  quantity: (.quantity | quantity),
  unitPrice: (.unit_price | amount),
  amount: (.amount | amount)
};
($request.query.limit // "20" | tonumber) as $limit
| ($request.query.offset // "0" | tonumber) as $offset
| if $request.path.invoiceId then .[0] | head + {lines: (.["lines."] | map(line))}
  else {
    items: (.[:$limit] | map(head)),
    offset: $offset,
    limit: $limit,
    nextOffset: (if length > $limit then $offset + $limit else null end)
  } end
