# A NetSuite inventory item → a product.
{sku: .itemId, name: .displayName, price: .basePrice, currency: "EUR", active: (.isInactive | not), supplier: .preferredVendor.refName}
