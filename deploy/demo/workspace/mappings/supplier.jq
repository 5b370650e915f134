# A NetSuite vendor → a supplier.
{id, number: .entityId, name: .companyName, email, terms: .terms.refName, leadTimeDays}
