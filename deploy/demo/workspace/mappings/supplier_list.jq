# A page of NetSuite vendors → suppliers.
{items: [.items[] | {id, number: .entityId, name: .companyName, email, terms: .terms.refName, leadTimeDays}], total: .totalResults}
