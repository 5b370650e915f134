# The customer of the caller → NetSuite's search; null leaves it out.
$request.query.customerId | if . then "entity.id IS \"\(.)\"" else null end
