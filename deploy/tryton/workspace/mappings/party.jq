# Parties as callers see them: a page of them, or the one that the path names.
# A Decimal as a string with two to four digits after the point.
def amount: if . == null then null else
    (.decimal | if test("[eE]|\\.[0-9]{4}[0-9]*[1-9]") then (tonumber * 10000 | round) / 10000 | tostring else . end)
    | split(".") | .[0] + "." + ((.[1] // "") | until(endswith("0") | not; .[:-1]) | . + "0" * ([2 - length, 0] | max)) end;
def party: {
  partyId: .id,
  code,
  name,
  addresses: [.["addresses."][] | {
    addressId: .id,
    street,
    postalCode: .postal_code,
    city,
    countryCode: .["country."].code,
    forInvoices: .invoice,
    forDelivery: .delivery
  }],
  paymentTerm: (.["customer_payment_term."] | if . == null then null else {paymentTermId: .id, name} end),
  credit: {limit: (.credit_limit_amount | amount), used: (.credit_amount // {decimal: "0"} | amount)}
};
($request.query.limit // "20" | tonumber) as $limit
| ($request.query.offset // "0" | tonumber) as $offset
| if $request.path.partyId then .[0] | party
  else {
    items: (.[:$limit] | map(party)),
    offset: $offset,
    limit: $limit,
    nextOffset: (if length > $limit then $offset + $limit else null end)
  } end
