# Sales as callers see them: a page of them without lines, or one with its lines.
def pad($n): tostring | "0" * ([$n - length, 0] | max) + .;
def date: if . == null then null else "\(.year | pad(4))-\(.month | pad(2))-\(.day | pad(2))" end;
def timestamp: "\(date)T\(.hour | pad(2)):\(.minute | pad(2)):\(.second | pad(2))Z";
# A Decimal as a string with two to four digits after the point.
def amount: if . == null then null else
    (.decimal | if test("[eE]|\\.[0-9]{4}[0-9]*[1-9]") then (tonumber * 10000 | round) / 10000 | tostring else . end)
    | split(".") | .[0] + "." + ((.[1] // "") | until(endswith("0") | not; .[:-1]) | . + "0" * ([2 - length, 0] | max)) end;
# A quantity without needless zeros: 3, not 3.0.
def quantity: if . == null then null else . + 0 end;
def head: {
  saleId: .id,
  number,
  reference,
  state,
  shipmentState: .shipment_state,
  invoiceState: .invoice_state,
  date: (.sale_date | date),
  party: {partyId: .["party."].id, code: .["party."].code, name: .["party."].name},
  currency: .["currency."].code,
  untaxedAmount: (.untaxed_amount | amount),
  taxAmount: (.tax_amount | amount),
  totalAmount: (.total_amount | amount),
  createdAt: (.create_date | timestamp)
};
def line: {
  lineId: .id,
  productId: .["product."].id,
  productCode: .["product."].code,
  unitId: .["unit."].id,
  unitSymbol: .["unit."].symbol,
  quantity: (.quantity | quantity),
  unitPrice: (.unit_price | amount),
  amount: (.amount | amount),
  taxIds: .taxes
};
def sale: head + {
  invoiceAddressId: .invoice_address,
  shipmentAddressId: .shipment_address,
  warehouse: (.["warehouse."] | if . == null then null else {warehouseId: .id, code} end),
  comment,
  lines: (.["lines."] | map(line)),
  shipmentIds: .shipments,
  invoiceIds: .invoices
};
($request.query.limit // "20" | tonumber) as $limit
| ($request.query.offset // "0" | tonumber) as $offset
| if $request.method == "POST" or $request.path.saleId then .[0] | sale
  else {
    items: (.[:$limit] | map(head)),
    offset: $offset,
    limit: $limit,
    nextOffset: (if length > $limit then $offset + $limit else null end)
  } end
