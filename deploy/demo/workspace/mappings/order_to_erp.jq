# An order → a NetSuite sales order.
{
  entity: {id: .customerId},
  memo: (.note // ""),
  item: {items: [.lines[] | {item: {refName: .sku}, quantity} + (if .price then {rate: .price} else {} end)]}
}
