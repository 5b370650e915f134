# A page of NetSuite inventory items → products.
{
  items: [.items[] | {sku: .itemId, name: .displayName, price: .basePrice, currency: "EUR", active: (.isInactive | not), supplier: .preferredVendor.refName}],
  total: .totalResults
}
