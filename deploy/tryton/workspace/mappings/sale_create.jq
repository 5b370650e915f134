# A new sale. Tryton fills nothing in on create, so everything comes from the caller; prices must be Decimals.
[
  [{
    party: .partyId,
    invoice_address: .invoiceAddressId,
    shipment_address: .shipmentAddressId,
    warehouse: .warehouseId,
    payment_term: .paymentTermId,
    reference,
    comment,
    lines: [["create", [.lines[] | {
      type: "line",
      product: .productId,
      unit: .unitId,
      quantity,
      unit_price: {__class__: "Decimal", decimal: .unitPrice},
      taxes: [["add", .taxIds]]
    }]]]
  } | with_entries(select(.value != null))]
]
