# A page of NetSuite invoices → invoices.
{
  items: [.items[] | {
    id, number: .tranId, customer: .entity.refName, orderId: .createdFrom.id, date: .tranDate, due: .dueDate, total, open: .amountRemaining,
    status: (if .status.refName == "Open" then "open" else "paid" end)
  }],
  total: .totalResults
}
