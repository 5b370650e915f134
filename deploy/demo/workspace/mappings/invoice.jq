# A NetSuite invoice → an invoice.
{
  id, number: .tranId, customer: .entity.refName, orderId: .createdFrom.id, date: .tranDate, due: .dueDate, total, open: .amountRemaining,
  status: (if .status.refName == "Open" then "open" else "paid" end)
}
