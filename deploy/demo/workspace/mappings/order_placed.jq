# NetSuite answers 204 with the place of the new record.
{reference: $request.path.reference, orderId: ($headers.location | split("/") | last)}
