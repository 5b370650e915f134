# A NetSuite sales order → an order.
{
  orderId: .id, reference: .externalId, customer: .entity.refName, date: .tranDate, status: .status.id, total, currency: .currency.refName,
  lines: [.item.items[] | {sku: .item.refName, quantity, price: .rate, amount}]
}
